"""What a detector finds and what it detects falsely: thresholds, figures, tables."""
