"""One file per command: its arguments, its words to the user, and the calls that do the work."""
