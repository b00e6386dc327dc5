"""Sweep files and options to a plan of jobs: parsing, expansion, preview."""
