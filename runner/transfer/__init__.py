"""Carries sweeps from one history to another: bundles, imports, flat files.

It reads what was stored and stores what others read; nothing here runs a model.
"""

from __future__ import annotations

from ..errors import ExchangeError as ExchangeError
