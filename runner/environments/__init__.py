"""Python environments of workers: vlmsweep's own, an interpreter of the user's, or a cached one.

The versions and the machine of a run are recorded by `runner.system.environment`.
"""
