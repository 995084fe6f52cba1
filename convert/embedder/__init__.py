"""VGGish and the body of YAMNet: sources, export, projection, read-out, and the detector path that makes their codes."""
