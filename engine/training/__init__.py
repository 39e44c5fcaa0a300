"""Training a run: loop, optimisation steps, schedules, EMA, and what must be kept to resume it."""
