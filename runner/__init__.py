"""The supervisor's side: sweep files, jobs, worker processes, the store and its readers.

Nothing here imports torch, transformers or mlx, so that it stays small, quick to start and
alive whatever a model does.
"""

from . import own_packages

__version__ = "0.2.0"

own_packages.install()
