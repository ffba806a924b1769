"""Responses: the newer form of asking, over the same chat completions; a stored one is a stored completion."""
