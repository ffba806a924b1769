"""Public contract checks for extensions: call them in your own tests."""

from potstill.testing.check_exporter import check_exporter
from potstill.testing.check_loss import check_loss
from potstill.testing.check_student import check_student
from potstill.testing.check_teacher import check_teacher

__all__ = ["check_exporter", "check_loss", "check_student", "check_teacher"]
