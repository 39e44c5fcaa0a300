"""utils1/audit.py: a check of every video of a data set before training."""
