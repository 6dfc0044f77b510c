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
    """A point of an earlier study.

    Attributes:
        where: The trial and study it comes from, for notes.
        point: What was searched there.
        trained: All arguments it was trained with, as far as they are known.
        provenance: Where it comes from, for the record.
    """

    where: str
    point: Point
    trained: dict[str, Any]
    provenance: Provenance


def fit(source: Source, settings: Settings, default: Point) -> tuple[Point, list[str]]:
    """Returns a point of an earlier study as one of this study's space, and in words what had to change.

    Args:
        source: The point of the earlier study.
        settings: Of this study.
        default: Its default point; gives the values that the other study did not have, or that do not fit.
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
    """Returns the value that takes the place of one outside a distribution, and the reason in words."""
    if is_number(was) and isinstance(domain, Uniform):
        return domain.nearest(was), "space ends there"
    if is_number(was) and any(is_number(end) for end in domain.ends()):
        return domain.nearest(was), f"nearest of {domain}"
    return default, f"not in {domain}; the default"
