"""The model's side: one process, one model, commands in, events out.

Started as `python -m workers --events-fd N` in whatever environment holds the model's
libraries. Only the standard library is imported at start; model libraries are imported inside
functions. Nothing here imports `runner`.
"""
