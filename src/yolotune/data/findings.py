"""What is found in a dataset: errors, warnings and notes, many of a kind told as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from yolotune.data.labels import Found
from yolotune.errors import Problem

#: Places that are named where there are more of a kind than that; so many are all named.
FEW = 3


class Level(StrEnum):
    """How much a finding matters."""

    #: No study starts.
    ERROR = "error"
    #: A study starts, and its model or its scores are likely worse for it.
    WARNING = "warning"
    #: Good to know; nothing need be done.
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """What was found of one kind.

    Attributes:
        level: How much it matters.
        kind: A word for scripts; a dataset has one finding of a kind, or a few in different places.
        where: The file, the place in a file, or the key of `data.yaml`.
        what: What was found, in a sentence.
        fix: What to do about it, in a sentence; empty where nothing need be done.
        count: How many there are.
        examples: All of them, in words.
    """

    level: Level
    kind: str
    where: str
    what: str
    fix: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def problem(self) -> Problem:
        """Returns an error as the user reads it."""
        return Problem(self.where, self.what, self.fix)


def grouped(found: Iterable[Found], *, level: Level = Level.ERROR, way_out: str = "") -> list[Finding]:
    """Returns problems as findings: of a kind each of the first `FEW`, or where there are more, one for all.

    Args:
        found: Problems with their kinds.
        level: Of the findings.
        way_out: What else may be done, in a sentence without its full stop; added to each fix.
    """
    kinds: dict[str, list[Problem]] = {}
    for kind, problem in found:
        kinds.setdefault(kind, []).append(problem)
    findings: list[Finding] = []
    for kind, problems in kinds.items():
        if len(problems) <= FEW:
            findings += [_finding(level, kind, [problem], way_out) for problem in problems]
        else:
            findings.append(_finding(level, kind, problems, way_out))
    return findings


def _finding(level: Level, kind: str, problems: list[Problem], way_out: str) -> Finding:
    first = problems[0]
    what = first.what
    if len(problems) > 1:
        files = len({problem.where.partition(":")[0] for problem in problems})
        among = f" in {files:,} files" if 1 < files < len(problems) else ""
        what += f" There are {len(problems):,} like this{among}."
    fix = first.fix
    if way_out:
        fix = f"{fix if fix.endswith('...') else fix.removesuffix('.')}; or {way_out}."
    places = tuple(f"{problem.where}: {problem.what}" for problem in problems)
    return Finding(level, kind, first.where, what, fix, len(problems), places)
