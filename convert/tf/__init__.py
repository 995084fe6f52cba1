"""TensorFlow code shared by embedders and sequence models: the optimiser, and TFLite files."""
