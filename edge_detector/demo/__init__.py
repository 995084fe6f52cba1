"""Synthetic soundscape and embedded broker of the demo."""
