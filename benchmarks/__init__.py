"""Speed as ratios to a reference in the same run, and closeness, on made-up images whose flow is known exactly."""
