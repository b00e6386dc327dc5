"""Checks of a text's form, and its score. Neither depends on the model.

Pure functions that return columns. `runner.database.score_writer` stores them; docs/scoring.md
explains the figures.
"""
