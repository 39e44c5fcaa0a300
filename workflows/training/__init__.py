"""train.py and STS_train.py: how a run begins, its teachers, and the command that comes next."""
