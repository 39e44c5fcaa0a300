"""utils1/fusion_lab.py: systems on score files, what is fitted on held-out videos, means over splits, tables."""
