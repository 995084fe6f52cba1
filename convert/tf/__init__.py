"""TensorFlow pieces that embedders and sequence models share: the optimiser, and TFLite files."""
