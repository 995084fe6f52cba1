"""Page and HTTP interface: live view, history, thresholds, metrics."""
