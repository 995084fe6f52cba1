"""The service: a worker and a supervisor for each source, health monitor, state on disk, systemd notification."""
