"""The best points of an earlier study as initial points of this one, fitted into its space."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.errors import fail
from yolotune.points import default_point, exact
from yolotune.record import FINISHED, StudyRecord, TrialRecord, read_study
from yolotune.space import Domain, Point, Uniform, Value, is_number, parse_space
from yolotune.study import Study
from yolotune.yamlio import read_yaml


@dataclass(frozen=True)
class Source:
    """A point of before.

    Attributes:
        where: Whose it is, for notes.
        point: What was searched there.
        trained: All arguments it was trained with, as far as the study told them.
    """

    where: str
    point: Point
    trained: dict[str, Any]


@dataclass(frozen=True)
class Here:
    """What decides whether points of before can be compared with those of this study.

    Attributes:
        nc: Classes of the dataset.
        fingerprint: Of the dataset.
        model: As trials load it.
    """

    nc: int
    fingerprint: str
    model: str


def warm_points(study: Study, here: Here, folder: Path | None = None) -> tuple[list[Point], list[str]]:
    """Returns the points that `warm_start` stands for, best first, and in words what did not fit.

    A study that goes on takes them from its own record: the other study may be gone by now.

    Args:
        study: The study.
        here: Its data and model.
        folder: Of the study if it goes on.

    Raises:
        UserError: The other study is missing, has nothing to give, or searched in the other direction.
    """
    if study.warm_start is None:
        return [], []
    sources = _recorded(study, folder) if folder else None
    notes: list[str] = []
    if sources is None:
        sources, notes = _best(study, here)
    default = default_point(study.domains, here.nc, study.fixed.get("optimizer"))[0]
    points: list[Point] = []
    for source in sources:
        point, misfits = fit(source, study, default)
        if misfits:
            notes.append(f"warm start: {source.where}: {'; '.join(misfits)}")
        if point not in (default, *points):
            points.append(point)
    return points, notes


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


def _recorded(study: Study, folder: Path) -> list[Source] | None:
    """Returns the points of a study that goes on; None if it began with another warm start, or with none."""
    settings = read_yaml(folder / "study.yaml", whole=True)
    same = all(settings.get(name) == getattr(study, name) for name in ("warm_start", "top"))
    points = settings.get("warm_points") if same else None
    if points is None:
        return None
    return [Source(f"recorded point {number}", point, point) for number, point in enumerate(points, start=1)]


def _best(study: Study, here: Here) -> tuple[list[Source], list[str]]:
    """Returns the best points of the other study, and how it differs from this one."""
    folder = Path(str(study.warm_start))
    other = read_study(folder)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    if other.mode != study.direction:
        words = {"max": "high", "min": "low"}
        what = f"{shown} searched for a {words[other.mode]} {other.settings['objective']}"
        what += f", this study for a {words[study.direction]} {study.objective}: its best points are no good here."
        raise fail("warm_start", what, "take a study with an objective of the same direction.")
    trials = best_trials(other, study.top)
    if not trials:
        raise fail(
            "warm_start", f"no trial of {shown} has a value that stands.", "take another study, or leave it out."
        )
    fixed = {**other.settings.get("train", {}), **parse_space(other.settings["space"], str(shown))[1]}
    sources = [
        Source(f"trial {trial.number} of {shown}", trial.point, {**fixed, **trial.point, **trial.effective})
        for trial in trials
    ]
    values = ", ".join(f"{trial.number} ({trial.value:.4f})" for trial in trials)
    notes = [f"warm start: after the defaults come trials {values} of {shown}, best by {other.settings['objective']}"]
    differs = _differences(study, here, other)
    if differs:
        notes.append(f"warm start: {shown} is not quite comparable: {', '.join(differs)}")
    return sources, notes


def best_trials(study: StudyRecord, top: int) -> list[TrialRecord]:
    """Returns the trials with the best values that stand, best first, no point twice."""
    valued = [trial for trial in study.trials if trial.verdict in FINISHED and trial.value is not None]
    best: list[TrialRecord] = []
    for trial in sorted(valued, key=lambda trial: trial.value or 0.0, reverse=study.mode == "max"):
        if len(best) < top and trial.point not in [found.point for found in best]:
            best.append(trial)
    return best


def _differences(study: Study, here: Here, other: StudyRecord) -> list[str]:
    """Returns in words why values of the other study say less about this one."""
    now = {"objective": study.objective, "imgsz": study.imgsz, "epochs": study.epochs, "model": here.model}
    differs = [
        f"{name} {other.settings.get(name)} there, {value} here"
        for name, value in now.items()
        if other.settings.get(name) != value
    ]
    try:
        environment = json.loads((other.folder / "environment.json").read_text(encoding="utf-8"))
        fingerprint = environment["dataset"]["fingerprint"]
    except (OSError, ValueError, KeyError):
        return differs  # the points are in the record all the same
    return differs if fingerprint == here.fingerprint else ["another dataset", *differs]
