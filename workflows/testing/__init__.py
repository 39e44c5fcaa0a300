"""The test scripts: scores of the test videos, and what streams say together."""
