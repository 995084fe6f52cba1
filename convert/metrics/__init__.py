"""The metrics of YouTube-8M and AudioSet, and of sound events, in plain NumPy: no file, no clock, no TensorFlow."""
