"""One tree of errors; every expected failure is one of these, and each knows its exit code.

    PotstillError                   1
    ├── ConfigurationError          2   a recipe, an option or a combination of them
    │   └── MissingExtraError       2   a package that an extra brings is not installed
    ├── GateError                   3   a quality gate was not met; nothing was shipped
    ├── BudgetError                 4   the next call would have passed the budget
    ├── TeacherUnavailableError     5   the teacher could not be loaded or reached
    ├── ServerUnavailableError      5   the server of a fleet could not be reached
    ├── DataError                   6   the rows can't be used as they are
    ├── IntegrityError              7   bytes on disk are not the bytes that were written
    │   ├── BundleError             7
    │   ├── StoreError              7
    │   ├── CheckpointError         7
    │   ├── UpdateRefusedError      7   an update that is not signed as it must be, or not what was signed
    │   └── ReportError             7   a device's report that is not signed as it must be
    ├── UpdateFailedError           1   a device could not take an update for reasons of its own, as a full disk
    └── PreemptedError             75   stopped on request; the same command resumes

A message says what was expected, what came, why it matters and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PotstillError(Exception):
    """Base of all expected failures."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration file.

    Attributes:
        path: dotted path of the option, as in `training.num_epochs`.
        message: what is wrong, and the likely fix.
        file: name of the file, empty for an option given on the command line.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
    """

    path: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigurationError(PotstillError):
    """A recipe, an option or a combination of them that can't work. Holds all problems found, not the first."""

    exit_code = 2

    def __init__(self, message: str = "", *, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *map(str, self.problems)]).strip())


class MissingExtraError(ConfigurationError):
    """A package that an extra brings is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is needed here and not installed. Run: pip install 'potstill[{extra}]'")


class GateError(PotstillError):
    """A quality gate was not met."""

    exit_code = 3


class BudgetError(PotstillError):
    """The next call would have passed the budget; what was answered so far is kept."""

    exit_code = 4


class TeacherUnavailableError(PotstillError):
    """The teacher could not be loaded or reached."""

    exit_code = 5


class ServerUnavailableError(PotstillError):
    """The server of a fleet could not be reached; what runs on the device goes on."""

    exit_code = 5


class DataError(PotstillError):
    """The rows can't be used as they are."""

    exit_code = 6


class IntegrityError(PotstillError):
    """Bytes on disk are not the bytes that were written."""

    exit_code = 7


class BundleError(IntegrityError):
    """A bundle that is damaged, hostile or of an unknown format."""


class StoreError(IntegrityError):
    """A stored teacher answer that fails its check."""


class CheckpointError(IntegrityError):
    """A checkpoint that fails its check."""


class UpdateRefusedError(IntegrityError):
    """An update that a device must not take; what runs on it goes on."""


class ReportError(IntegrityError):
    """A report of a device that must not be counted."""


class UpdateFailedError(PotstillError):
    """A device could not take an update for reasons of its own; what runs on it goes on."""


class PreemptedError(PotstillError):
    """Stopped on request (SIGTERM); the same command resumes."""

    exit_code = 75
