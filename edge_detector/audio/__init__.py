"""Audio input: sources, resampling, sample time, signal quality, recordings."""
