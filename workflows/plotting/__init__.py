"""utils1/plot_run.py: curves of the logs of runs."""
