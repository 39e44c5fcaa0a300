"""What every package may import, and which imports none of them."""

from .words import counted

__all__ = ["counted"]
