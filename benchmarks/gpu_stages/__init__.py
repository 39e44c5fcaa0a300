"""The stages of a GPU day: each measures what only a GPU can tell."""
