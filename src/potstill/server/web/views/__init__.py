"""One file a page: its values as dataclasses, and the function that makes HTML of them."""
