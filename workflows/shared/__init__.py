"""What several workflows share: commands as text, plots, films, process pools."""
