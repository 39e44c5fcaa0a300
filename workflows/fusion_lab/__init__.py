"""utils1/fusion_lab.py: systems on score files, fits on held-out videos, means over splits, tables."""
