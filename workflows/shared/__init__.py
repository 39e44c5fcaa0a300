"""What several workflows share: captions, command lines, films, plots, run records, tables, templates."""
