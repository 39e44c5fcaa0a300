"""utils1/verify.py: what a checkpoint promises, what comes out here, and the causes that would explain a difference."""
