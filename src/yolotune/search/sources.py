"""Points of earlier studies, fitted into the space of this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from yolotune.config.points import exact
from yolotune.config.settings import Settings
from yolotune.config.space import Domain, Point, Uniform, Value, is_number
from yolotune.record.provenance import Provenance


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


def fit(source: Source, settings: Settings, default: Point) -> tuple[Point, list[str]]:
    """Returns a point of before as a point of this study's space, and in words what had to change.

    Args:
        source: The point of before.
        settings: Of this study.
        default: Its default point; gives what the other study had no value for, or none that fits.
    """
    point: Point = {}
    misfits: list[str] = []
    new: list[str] = []
    for name, domain in settings.domains.items():
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
        if name not in settings.domains and settings.fixed.get(name) != was:
            instead = f", fixed at {settings.fixed[name]}" if name in settings.fixed else ""
            misfits.append(f"{name} is not searched here{instead}, left out")
    return point, misfits


def _moved(was: Any, domain: Domain, default: Value) -> tuple[Value, str]:
    """Returns the value of a distribution that stands for one outside it, and why this one."""
    if is_number(was) and isinstance(domain, Uniform):
        return domain.nearest(was), "space ends there"
    if is_number(was) and any(is_number(end) for end in domain.ends()):
        return domain.nearest(was), f"nearest of {domain}"
    return default, f"not in {domain}; the default"
