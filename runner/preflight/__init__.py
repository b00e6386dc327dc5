"""What could go wrong with a sweep, said before it starts instead of at three in the morning.

A noun per file; `look` joins them. Everything has a time limit, nothing is fetched, loaded or
decoded, and no model library is imported into this process.
"""
