"""One process for a year: a worker and a supervisor for each source, the health monitor, state on disk, systemd."""
