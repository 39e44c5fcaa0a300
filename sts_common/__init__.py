"""Modules that every package may import, and that import none of them."""

from .processors import cores
from .words import check_choice, counted, size_in_words

__all__ = ["check_choice", "cores", "counted", "size_in_words"]
