"""A bundle as a folder: its card, its manifest, and the embedder that goes into it."""
