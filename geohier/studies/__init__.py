"""Runs over runs and looks at results: scoring, describing, drawing."""
