"""Checkpoints: tensors and plain values only, so that they load with `weights_only=True`.

`python -m engine.checkpoint FILE` says what one is, see `card`.
"""

from .card import finished_epochs
from .storage import load, save

__all__ = ["finished_epochs", "load", "save"]
