"""utils1/reproduce.py: a recipe -> stages, each a command with its results -> what is missing is run -> a table."""
