"""Retrieval: features of the videos of a data set, and the training videos nearest to each test video."""
