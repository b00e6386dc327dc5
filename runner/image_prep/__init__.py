"""Prepares images once, in a subprocess; `prepare` is the entry point."""
