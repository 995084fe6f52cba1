"""Sound and records as NumPy arrays. Nothing here imports TensorFlow."""
