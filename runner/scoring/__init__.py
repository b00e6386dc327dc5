"""What can be said of a text without knowing the model: checks of its form, and its score.

Pure functions, a noun a file. They give columns and pass no verdict; what is stored is written
by `runner.database.score_writer`, and what the figures mean is told by docs/scoring.md.
"""
