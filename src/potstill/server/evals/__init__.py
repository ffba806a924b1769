"""Evals: criteria, runs over rows and models, and what came out for every row."""
