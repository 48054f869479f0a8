"""Precision and batch size: what makes the same answer cheaper."""
