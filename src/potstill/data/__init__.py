"""Data: files in, checked and split rows out."""

from potstill.data.load import Data, load_data
from potstill.data.options import DataOptions
from potstill.data.rows import Rows, joined, row_digest

__all__ = ["Data", "DataOptions", "Rows", "joined", "load_data", "row_digest"]
