"""Data sets of a user's videos: their sources, lists, and the commands to run on them."""
