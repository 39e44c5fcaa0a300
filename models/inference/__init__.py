"""Networks for use: compiled, folded, in half precision, in wide groups, and as the module that is exported."""
