"""One's own videos as a data set: what they were cut from, and what to run on them."""
