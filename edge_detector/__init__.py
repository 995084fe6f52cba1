"""Real-time sound event detection for small machines: sound in, MQTT out."""

__version__ = "0.1.0"
