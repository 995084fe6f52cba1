"""The commands: they build everything out of the other layers and decide nothing."""
