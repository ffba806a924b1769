"""A run whose student writes: its recipe, and what joins its stages."""
