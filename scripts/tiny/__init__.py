"""Recipes for tiny random-weight checkpoints, one file per family."""
