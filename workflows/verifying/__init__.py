"""utils1/verify.py: a checkpoint's stated results, those measured here, and the causes that explain a difference."""
