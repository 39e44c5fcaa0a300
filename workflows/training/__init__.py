"""train.py and STS_train.py: the start of a run, its teachers, and the next command."""
