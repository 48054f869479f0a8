"""Configuration: frozen pydantic models, read from YAML that may extend other YAML."""
