"""Released files, kept only if their checksum is right."""
