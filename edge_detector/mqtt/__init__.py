"""MQTT: messages, discovery, commands and a non-blocking publisher."""
