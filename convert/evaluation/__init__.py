"""Evaluation of a detector: thresholds, figures, tables."""
