"""Where samples come from, and what is done to them before the networks: sources, resampling, time, signal quality."""
