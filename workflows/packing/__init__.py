"""utils1/pack.py: frame folders to packed clips, and back."""
