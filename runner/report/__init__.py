"""Tells of a sweep at a glance: a page to open, a Markdown file, a guide to loading its models.

`gather` reads the history into `facts`; `page`, `markdown` and `guide` set them out. Nothing here
runs a model or writes to the database.
"""
