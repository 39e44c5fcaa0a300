"""Networks for use: compiled, folded, in half precision, in wide groups, exported, run from files, and cached."""
