"""The offline converter: from labelled sound to a bundle that the detector runs. Commands meet through files."""
