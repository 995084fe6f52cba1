"""Pure functions and objects: no thread, clock, socket or logger. Only `bundle` and `config` open files."""
