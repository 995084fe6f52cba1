"""From 16 kHz samples to events: log-mel, embedding, state bank, sequence step, hysteresis; and the bundle."""
