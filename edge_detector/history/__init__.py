"""History: events of the past on this machine's disk, written by the service, read by `edge-detector events`."""
