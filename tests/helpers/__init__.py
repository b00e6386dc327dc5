"""Helpers shared by several tests. A test imports from here, not from another test."""
