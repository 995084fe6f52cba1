"""From events to the broker: messages, discovery, commands, and a publisher that never makes its callers wait."""
