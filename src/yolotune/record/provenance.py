"""Where a study's points come from: earlier studies, or the search that is confirmed or retrained."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from yolotune.config.space import Point


@dataclass(frozen=True)
class Provenance:
    """Where an initial point comes from; study.yaml keeps it beside the point.

    Attributes:
        study: Name of the study that found it.
        folder: Where that was kept; it may be gone.
        trial: Of that study; None where it is not known any more.
        value: That it had there; None likewise.
        same_data: Whether it was found on this very dataset; None where that is not known.
    """

    study: str
    folder: str
    trial: int | None
    value: float | None
    same_data: bool | None

    def __str__(self) -> str:
        trial = "" if self.trial is None else f"trial {self.trial} of "
        return f"{trial}{self.study}"


def told_of(provenance: Sequence[Provenance]) -> str:
    """Returns in words whose points they are: `2 points of person-crops (the same data, trials 4, 7)`."""
    by_study: dict[tuple[str, str], list[Provenance]] = {}
    for one in provenance:
        by_study.setdefault((one.study, one.folder), []).append(one)
    parts = []
    for (name, _), points in by_study.items():
        several = "s" if len(points) > 1 else ""
        data = {True: "the same data", False: "other data", None: None}[points[0].same_data]
        numbers = ", ".join(str(point.trial) for point in points if point.trial is not None)
        about = ", ".join(filter(None, [data, numbers and f"trial{several} {numbers}"]))
        parts.append(f"{len(points)} point{several} of {name}" + (f" ({about})" if about else ""))
    return ", ".join(parts)


def read_provenance(recorded: Sequence[Mapping[str, Any]] | None) -> list[Provenance]:
    """Returns where the initial points of a study came from, as its study.yaml says."""
    known = {field.name for field in fields(Provenance)}  # earlier versions wrote more
    return [Provenance(**{key: written[key] for key in known}) for written in recorded or []]


def known_from(point: Point, warm_points: Sequence[Point], warm_from: Sequence[Provenance]) -> Provenance | None:
    """Returns where a point came from, if it came from an earlier study.

    Args:
        point: Of a trial.
        warm_points: The study's points of earlier studies.
        warm_from: Where each of them came from.
    """
    return next((one for given, one in zip(warm_points, warm_from, strict=False) if given == point), None)


@dataclass(frozen=True)
class Origin:
    """The search whose points a study trains again.

    Attributes:
        kind: `confirm` or `retrain`: the command, and what its trainings are called in W&B.
        study: Name of the search; its W&B runs and these are one group.
        uid: Of the search.
        search: Where the folder of the search is, seen from this study's.
        again: What the command was given beside that folder; given again, it continues this study.
        what: What is trained, in words.
        trial: The trial of the search that is trained again; None where there are several.
    """

    kind: str
    study: str
    uid: str
    search: str
    again: str
    what: str
    trial: int | None = None

    def command(self, folder: Path) -> str:
        """Returns the command line that continues the study of a folder."""
        search = (folder / self.search).resolve()
        shown = search.relative_to(Path.cwd()) if search.is_relative_to(Path.cwd()) else search
        return f"yolotune {self.kind} {shlex.quote(str(shown))} {self.again}".rstrip()
