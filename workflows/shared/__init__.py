"""Tools of several workflows: commands as text, plots, films, process pools."""
