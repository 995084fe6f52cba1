"""The tests, ordered as the layers they speak about."""
