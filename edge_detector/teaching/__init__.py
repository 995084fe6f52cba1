"""New classes from a few recordings of each, on the embedder of a bundle."""
