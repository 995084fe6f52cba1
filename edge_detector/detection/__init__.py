"""From 16 kHz samples to events: log-mel, embedding, sliding states, sequence step, hysteresis; and the bundle they come from."""
