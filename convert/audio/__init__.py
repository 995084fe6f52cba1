"""Clips, background and what is made of them: augmentation, training mixtures, soundscapes, signals without events."""
