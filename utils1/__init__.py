"""Command-line tools that prepare data; run them by path, `python utils1/NAME.py --help`."""
