"""utils1/report.py: score files -> groups that can be compared -> results and details -> page, Markdown, CSV."""
