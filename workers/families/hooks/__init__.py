"""Hooks of families, by engine. Imported only when that engine loads such a model."""
