"""Points of before: where they come from, and how they are fitted into the space of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from yolotune.config.points import exact
from yolotune.config.settings import Study
from yolotune.config.space import Domain, Point, Uniform, Value, is_number


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


@dataclass(frozen=True)
class Source:
    """A point of before.

    Attributes:
        where: Whose it is, for notes.
        point: What was searched there.
        trained: All arguments it was trained with, as far as the study told them.
        provenance: The same for the record.
    """

    where: str
    point: Point
    trained: dict[str, Any]
    provenance: Provenance


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


def recorded_provenance(settings: Mapping[str, Any]) -> list[Provenance]:
    """Returns where the initial points of a recorded study came from; nothing for one that began without."""
    known = {field.name for field in fields(Provenance)}  # older versions said more
    return [Provenance(**{key: said[key] for key in known}) for said in settings.get("warm_from") or []]


def known_from(point: Point, settings: Mapping[str, Any]) -> Provenance | None:
    """Returns where a point of a recorded study came from, if it came from an earlier one."""
    for given, one in zip(settings.get("warm_points") or [], recorded_provenance(settings), strict=False):
        if given == point:
            return one
    return None


def fit(source: Source, study: Study, default: Point) -> tuple[Point, list[str]]:
    """Returns a point of before as a point of this study's space, and in words what had to change.

    Args:
        source: The point of before.
        study: This study.
        default: Its default point; gives what the other study had no value for, or none that fits.
    """
    point: Point = {}
    misfits: list[str] = []
    new: list[str] = []
    for name, domain in study.domains.items():
        if name not in source.trained:
            point[name] = default[name]
            new.append(name)
            continue
        was = exact(domain, source.trained[name])
        point[name] = was
        if was not in domain:
            point[name], why = _moved(was, domain, default[name])
            misfits.append(f"{name} {was} -> {point[name]} ({why})")
    if new:
        misfits.append(f"{', '.join(new)}: not known there, Ultralytics' default")
    for name, was in source.point.items():
        if name not in study.domains and study.fixed.get(name) != was:
            instead = f", fixed at {study.fixed[name]}" if name in study.fixed else ""
            misfits.append(f"{name} is not searched here{instead}, left out")
    return point, misfits


def _moved(was: Any, domain: Domain, default: Value) -> tuple[Value, str]:
    """Returns the value of a distribution that stands for one outside it, and why this one."""
    if is_number(was) and isinstance(domain, Uniform):
        return domain.nearest(was), "space ends there"
    if is_number(was) and any(is_number(end) for end in domain.ends()):
        return domain.nearest(was), f"nearest of {domain}"
    return default, f"not in {domain}; the default"
