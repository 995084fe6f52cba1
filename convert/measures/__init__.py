"""YouTube-8M's metrics (spec 6) and AudioSet's, in plain NumPy: no file, no clock, no TensorFlow."""
