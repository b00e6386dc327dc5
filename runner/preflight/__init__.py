"""Checks before a sweep starts: models, memory, images, servers, expected duration.

`run` combines the checks. Each has a time limit; nothing is downloaded, loaded or decoded, and no
model library is imported into this process.
"""
