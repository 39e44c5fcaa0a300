"""Modules that every package may import, and that import none of them."""

from .processors import cores
from .words import counted, size_in_words

__all__ = ["cores", "counted", "size_in_words"]
