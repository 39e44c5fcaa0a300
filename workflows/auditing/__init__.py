"""utils1/audit.py: every video of a data set looked at once, before training."""
