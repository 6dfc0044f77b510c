"""Initial points from the earlier studies that `warm_start` names."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

from yolotune._yaml import read_yaml
from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.config.space import Point, parse_space
from yolotune.errors import fail
from yolotune.record.study import StudyRecord, best_trials, read_study
from yolotune.search.provenance import Provenance, Source, fit, recorded_provenance

#: Points from before with which a Gaussian process finds better ones than TPE; without any it finds worse ones
#: (docs/search.md). That was measured with up to three.
ENOUGH_FOR_GP = 2


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


@dataclass(frozen=True)
class Warm:
    """Initial points from before.

    Attributes:
        points: In the order in which they are tried.
        provenance: Of each of them.
        notes: What the user should know of them, in words.
    """

    points: list[Point]
    provenance: list[Provenance]
    notes: list[str]


def warm_points(study: Settings, here: Here, folder: Path | None = None) -> Warm:
    """Returns the best points of the studies that `warm_start` names.

    A study that goes on takes them from its own record: the other study may be gone by now.

    Args:
        study: The study.
        here: Its data and model.
        folder: Of the study if it goes on.

    Raises:
        UserError: A named study is missing, has nothing to give, or searched in the other direction.
    """
    default = default_point(study.domains, here.nc, study.fixed.get("optimizer"))[0]
    if folder and (folder / "study.yaml").exists():
        sources, notes = _recorded(study, folder, here)
    else:
        sources, notes = _named(study, here)
    points: list[Point] = []
    provenance: list[Provenance] = []
    for source in sources:
        point, misfits = fit(source, study, default)
        if misfits:
            notes.append(f"warm start: {source.where}: {'; '.join(misfits)}")
        if point not in (default, *points):
            points.append(point)
            provenance.append(source.provenance)
    return Warm(points, provenance, notes)


def decided(study: Settings, warm: Warm) -> tuple[Settings, list[str]]:
    """Returns a study whose sampler is known, chosen where `search` is auto, and what to say of that."""
    if study.search != "auto":
        return study, []
    known = len(warm.points)
    chosen = "gp" if known >= ENOUGH_FOR_GP else "tpe"
    said = [f"search: gp, for {known} points of earlier studies are known; without them it would be tpe"]
    return study.model_copy(update={"search": chosen}), said if chosen == "gp" else []


def _recorded(study: Settings, folder: Path, here: Here) -> tuple[list[Source], list[str]]:
    """Returns the points of a study that goes on, and what to say of them.

    Named for another warm start than before, it gets the points of that one; those of before that were tried stay in
    the list, for what came of them is still known from there.
    """
    settings = read_yaml(folder / "study.yaml", whole=True)
    points = settings.get("warm_points")
    unknown = Provenance("an earlier study", "", None, None, None)  # as recorded by older versions
    provenance = recorded_provenance(settings) or [unknown] * len(points or [])
    sources = [
        Source(f"recorded point {number}", point, point, said)
        for number, (point, said) in enumerate(zip(points or [], provenance, strict=True), start=1)
    ]
    was = settings.get("warm_start") or []
    was = was if isinstance(was, list) else [was]  # one name, as recorded by older versions
    if points is None or was != study.warm_start or (was and settings.get("top") != study.top):
        new, notes = _named(study, here)
        tried = [trial.point for trial in read_study(folder).trials] if sources else []
        return [*new, *(source for source in sources if source.point in tried)], notes
    return sources, []


def _named(study: Settings, here: Here) -> tuple[list[Source], list[str]]:
    """Returns the best points of all named studies, the best of each first, and how those differ from this one."""
    found = [_best(study, here, Path(folder)) for folder in study.warm_start]
    by_rank = itertools.zip_longest(*(sources for sources, _ in found))
    return [source for rank in by_rank for source in rank if source], [note for _, notes in found for note in notes]


def _best(study: Settings, here: Here, folder: Path) -> tuple[list[Source], list[str]]:
    """Returns the best points of another study, and how it differs from this one."""
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
    same = _fingerprint(other) == here.fingerprint if _fingerprint(other) else None
    sources = [
        Source(
            f"trial {trial.number} of {shown}",
            trial.point,
            {**fixed, **trial.point, **trial.effective},
            Provenance(str(other.settings["name"]), str(folder), trial.number, trial.value, same),
        )
        for trial in trials
    ]
    values = ", ".join(f"{trial.number} ({trial.value:.4f})" for trial in trials)
    notes = [f"warm start: after the defaults come trials {values} of {shown}, best by {other.settings['objective']}"]
    differs = _differences(study, here, other)
    if differs:
        notes.append(f"warm start: {shown} is not quite comparable: {', '.join(differs)}")
    return sources, notes


def _differences(study: Settings, here: Here, other: StudyRecord) -> list[str]:
    """Returns in words why values of the other study say less about this one."""
    now = {"objective": study.objective, "imgsz": study.imgsz, "epochs": study.epochs, "model": here.model}
    differs = [
        f"{name} {other.settings.get(name)} there, {value} here"
        for name, value in now.items()
        if other.settings.get(name) != value
    ]
    known = _fingerprint(other)
    return differs if known in (None, here.fingerprint) else ["another dataset", *differs]


def _fingerprint(other: StudyRecord) -> str | None:
    """Returns that of the dataset a study trained on; None where it is lost: the points are recorded all the same."""
    try:
        environment = json.loads((other.folder / "environment.json").read_text(encoding="utf-8"))
        return str(environment["dataset"]["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None
