"""One file per command: arguments, messages and calls to the packages below."""
