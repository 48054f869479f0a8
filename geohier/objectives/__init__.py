"""Training objectives: named loss terms."""
