"""The test scripts: scores of the test videos, and their fusion."""
