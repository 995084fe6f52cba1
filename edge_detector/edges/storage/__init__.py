"""What the service keeps on disk: events that wait for the broker, and what was set over MQTT."""
