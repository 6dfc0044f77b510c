"""Initial points from earlier studies: the best ones of those that `warm_start` names."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.config.points import default_point, exact
from yolotune.config.settings import Settings
from yolotune.config.space import Domain, Point, Uniform, Value, is_number
from yolotune.errors import fail
from yolotune.record.provenance import Provenance
from yolotune.record.study import StudyRecord, TrialRecord, best_trials, read_study

#: Points of earlier studies with which a Gaussian process finds better ones than TPE; without any it finds worse ones
#: (docs/search.md). That was measured with up to three.
ENOUGH_FOR_GP = 2


@dataclass(frozen=True)
class Here:
    """What decides whether points of earlier studies can be compared with those of this one.

    Attributes:
        nc: Number of classes of the dataset.
        fingerprint: Of the dataset.
        model: As trials load it.
    """

    nc: int
    fingerprint: str
    model: str


@dataclass(frozen=True)
class Warm:
    """Initial points of earlier studies.

    Attributes:
        points: In the order in which they are tried.
        provenance: Where each of them comes from.
        notes: What the user should know of them, in words.
    """

    points: list[Point]
    provenance: list[Provenance]
    notes: list[str]


def warm_points(settings: Settings, here: Here, folder: Path | None = None) -> Warm:
    """Returns the best points of the studies that `warm_start` names, fitted into the space.

    A study that continues takes them from its own record, because the other study may be gone by now.

    Args:
        settings: Of the study.
        here: Its data and model.
        folder: Of the study if it continues.

    Raises:
        UserError: A named study is missing, has no point to give, or searched in the other direction.
    """
    default = default_point(settings.domains, here.nc, settings.fixed.get("optimizer"))[0]
    if folder and (folder / "study.yaml").exists():
        sources, notes = _of_continued(settings, here, read_study(folder))
    else:
        sources, notes = _of_named(settings, here)
    points: list[Point] = []
    provenance: list[Provenance] = []
    for source in sources:
        point, misfits = fit(source, settings, default)
        if misfits:
            notes.append(f"warm start: {source.where}: {'; '.join(misfits)}")
        if point not in (default, *points):
            points.append(point)
            provenance.append(source.provenance)
    return Warm(points, provenance, notes)


def choose_sampler(settings: Settings, warm: Warm) -> tuple[Settings, list[str]]:
    """Returns settings that name a sampler, chosen where `search` is auto, and notes on the choice.

    Args:
        settings: Of the study.
        warm: Its points of earlier studies.
    """
    if settings.search != "auto":
        return settings, []
    known = len(warm.points)
    if known < ENOUGH_FOR_GP:
        return settings.model_copy(update={"search": "tpe"}), []
    note = f"search: gp, because {known} points of earlier studies are known; without them it would be tpe"
    return settings.model_copy(update={"search": "gp"}), [note]


def _of_continued(settings: Settings, here: Here, record: StudyRecord) -> tuple[list[Source], list[str]]:
    """Returns the initial points of earlier studies for a study that continues, and notes on them.

    If it names other studies than before, their points take the place of the recorded ones. Recorded points that were
    tried stay, so that the record still says where these trials came from.
    """
    unknown = Provenance("an earlier study", "", None, None, None)  # older versions did not record it
    provenance = record.warm_from or [unknown] * len(record.warm_points)
    recorded = [
        Source(f"recorded point {number}", point, point, origin)
        for number, (point, origin) in enumerate(zip(record.warm_points, provenance, strict=True), start=1)
    ]
    before = record.settings
    same_top = before.top == settings.top or not settings.warm_start
    if before.warm_start == settings.warm_start and same_top:
        return recorded, []
    named, notes = _of_named(settings, here)
    tried = [trial.point for trial in record.trials]
    return [*named, *(source for source in recorded if source.point in tried)], notes


def _of_named(settings: Settings, here: Here) -> tuple[list[Source], list[str]]:
    """Returns the best points of all named studies, the best of each first, and notes on them."""
    found = [_of_study(settings, here, Path(folder)) for folder in settings.warm_start]
    by_rank = itertools.zip_longest(*(sources for sources, _ in found))
    return [source for rank in by_rank for source in rank if source], [note for _, notes in found for note in notes]


def _of_study(settings: Settings, here: Here, folder: Path) -> tuple[list[Source], list[str]]:
    """Returns the best points of another study, and notes on them and on how it differs from this one."""
    other = read_study(folder)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    _check_direction(settings, other, shown)
    trials = best_trials(other, settings.top)
    if not trials:
        what = f"no trial of {shown} has a value that stands."
        raise fail("warm_start", what, "take another study, or leave it out.")
    best = ", ".join(f"{trial.number} ({trial.value:.4f})" for trial in trials)
    notes = [f"warm start: after the defaults come trials {best} of {shown}, best by {other.settings.objective}"]
    differences = _differences(settings, here, other)
    if differences:
        notes.append(f"warm start: {shown} is not quite comparable: {', '.join(differences)}")
    return [_source(trial, other, folder, shown, here) for trial in trials], notes


def _source(trial: TrialRecord, other: StudyRecord, folder: Path, shown: Path, here: Here) -> Source:
    """Returns the point of a trial of another study, with all arguments it was trained with."""
    fingerprint = _fingerprint(other)
    same_data = None if fingerprint is None else fingerprint == here.fingerprint
    return Source(
        where=f"trial {trial.number} of {shown}",
        point=trial.point,
        trained={**other.settings.fixed, **trial.point, **trial.effective},
        provenance=Provenance(other.settings.name, str(folder), trial.number, trial.value, same_data),
    )


def _check_direction(settings: Settings, other: StudyRecord, shown: Path) -> None:
    if other.mode == settings.direction:
        return
    words = {"max": "high", "min": "low"}
    what = f"{shown} searched for a {words[other.mode]} {other.settings.objective}, this study for a "
    what += f"{words[settings.direction]} {settings.objective}: its best points are no good here."
    raise fail("warm_start", what, "take a study with an objective of the same direction.")


def _differences(settings: Settings, here: Here, other: StudyRecord) -> list[str]:
    """Returns in words why values of the other study say less about this one."""
    now = {"objective": settings.objective, "imgsz": settings.imgsz, "epochs": settings.epochs, "model": here.model}
    there = {name: getattr(other.settings, name) for name in now}
    differences = [f"{name} {there[name]} there, {now[name]} here" for name in now if there[name] != now[name]]
    return differences if _fingerprint(other) in (None, here.fingerprint) else ["another dataset", *differences]


def _fingerprint(other: StudyRecord) -> str | None:
    """Returns that of the dataset a study trained on; None where it is lost: the points are recorded all the same."""
    try:
        environment = json.loads((other.folder / "environment.json").read_text(encoding="utf-8"))
        return str(environment["dataset"]["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None


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
