"""Writes bug reports for the projects whose code failed, from what one run left behind.

It reads and runs nothing; who reads such a report was not there and knows no vlmsweep.
"""
