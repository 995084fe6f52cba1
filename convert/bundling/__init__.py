"""Bundle folders: model card, manifest and embedder."""
