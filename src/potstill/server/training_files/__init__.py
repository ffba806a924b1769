"""Training files: reading, checking, and saying which line is wrong."""

from potstill.server.training_files.chat_lines import (
    Example,
    TrainingFile,
    TrainingFileError,
    read_chat_lines,
    remote_urls,
)

__all__ = ["Example", "TrainingFile", "TrainingFileError", "read_chat_lines", "remote_urls"]
