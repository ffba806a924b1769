"""Data: files in, checked and split rows out."""

from potstill.data.load import Data, load_data
from potstill.data.options import DataOptions
from potstill.data.rows import Rows, row_digest

__all__ = ["Data", "DataOptions", "Rows", "load_data", "row_digest"]
