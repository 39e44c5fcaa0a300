"""Scores of videos, metrics, their statistics, and the files that hold them."""
