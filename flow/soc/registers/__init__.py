"""The register map: description, generated class, model."""
