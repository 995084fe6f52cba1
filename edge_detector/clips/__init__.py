"""Clips: the sound of each event as a FLAC file, where the configuration asks for it."""
