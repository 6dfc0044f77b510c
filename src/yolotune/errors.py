"""Every exception of yolotune.

    YolotuneError
    ├── UserError      the user's input: a list of problems, exit code 2, no traceback
    └── StudyFailed    the study could not continue, exit code 1

How a *trial* ended is not an exception but a verdict (see `record.Verdict`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, as the user reads it.

    Attributes:
        where: File, file:line, or the name of the setting.
        what: What is wrong, with what was got and what was expected.
        fix: What to do about it.
    """

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} Fix: {self.fix}"


class YolotuneError(Exception):
    """Base of all errors that yolotune raises on purpose."""


class UserError(YolotuneError, ValueError):
    """Everything that is wrong with the user's input, all at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StudyFailed(YolotuneError):
    """The study ended without a result: every trial failed, or the engine broke."""


def fail(where: str, what: str, fix: str) -> UserError:
    """Returns a `UserError` of one problem, to be raised."""
    return UserError([Problem(where, what, fix)])


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Returns ` Did you mean X?` for the one known name that `name` begins, else for the closest one, or nothing.

    Args:
        name: As the user wrote it; YAML keys may be numbers.
        known: The names there are.
    """
    given, names = str(name), list(known)
    begun = [one for one in names if given and one.startswith(given)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
