"""The Python interface: everything that the scripts do, by keyword arguments. docs/python.md shows it at work."""

from models import create_model

__all__ = ["create_model"]
