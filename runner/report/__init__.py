"""Reports about one sweep: an HTML page, a Markdown file, a model loading reference.

`gather` reads the history into `facts`; `page`, `markdown` and `guide` set them out. Nothing here
runs a model or writes to the database.
"""
