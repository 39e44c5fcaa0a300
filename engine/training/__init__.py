"""Training a run: loop, optimisation steps, schedules, EMA, and the state to resume it from."""
