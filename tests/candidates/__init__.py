"""Candidates for the oracle, right and wrong ones."""
