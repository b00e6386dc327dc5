"""Writes bug reports for the projects whose code failed, from the stored data of one run.

It runs nothing; a report must be clear to readers who do not know vlmsweep.
"""
