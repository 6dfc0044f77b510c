"""Resuming a study: what may have changed since, and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolotune.config.layers import load_settings
from yolotune.config.settings import Settings
from yolotune.errors import Problem, UserError, fail
from yolotune.record.environment import began_with, digest
from yolotune.record.study import StudyRecord, read_study
from yolotune.tuner.check import check
from yolotune.tuner.events import Listener
from yolotune.tuner.local_ray import ray_ahead
from yolotune.tuner.plan import Objects, Plan
from yolotune.workflows.running import require_objects, run_plan

#: Settings that a trial's value depends on: values of before and after a change cannot be compared.
COMPARED = ("space", "objective", "mode", "epochs", "imgsz", "train", "model")
ALLOW = "undo the change, start a new study, or give --allow-changes."


def resume(
    folder: str | Path,
    settings: Settings | None = None,
    listener: Listener | None = None,
    *,
    allow_changes: bool = False,
    objects: Objects | None = None,
) -> StudyRecord:
    """Runs what is left of a study and returns its record.

    Args:
        folder: The study's folder.
        settings: Its settings of now; the number of trials, the scheduler's numbers, resources and more may differ from
            before. None for those it has.
        listener: Who is told what happens.
        allow_changes: Resume even where values of before and after cannot be compared.
        objects: What only Python can give; a study that began with such objects needs them again.

    Raises:
        UserError: Dataset, space or objective are others, the difference is shown; or an object is missing.
    """
    before = read_search(folder)
    settings = settings or load_settings(before.folder, {})
    require_objects(settings, objects or Objects())
    with ray_ahead(settings) as ahead:
        plan = check(settings, before.folder, objects=objects)
        changed = changes(before, plan)
        if changed and not allow_changes:
            raise UserError(changed)
        return run_plan(plan, listener or Listener(), before, ahead=ahead)


def read_search(folder: str | Path) -> StudyRecord:
    """Returns the record of a search.

    Raises:
        UserError: No study there, or one that trains the points of a search again.
    """
    record = read_study(Path(folder).resolve())
    if record.origin is not None:
        search = (record.folder / record.origin.search).resolve()
        what = f"a {record.origin.kind} of {search}, not a search."
        raise fail(str(folder), what, f"give the search; to resume this one: {record.origin.command(record.folder)}")
    return record


def changes(before: StudyRecord, plan: Plan, fix: str = ALLOW) -> list[Problem]:
    """Returns a problem for each change that makes trials of before and after incomparable.

    Args:
        before: The record.
        plan: What is to be run now.
        fix: What the user can do about a change.
    """
    now: dict[str, Any] = {**plan.settings.model_dump(), "model": plan.model}
    then = before.settings.model_dump()
    recorded = began_with(before.folder)
    problems = []
    for name in COMPARED:
        was, wanted = then[name], now[name]
        if name == "model" and digest(plan.model):  # weights are what they hold, wherever they lie
            was, wanted = recorded["weights"], digest(plan.model)
        if was == wanted:
            continue
        if isinstance(was, dict) and isinstance(wanted, dict):
            keys = sorted(key for key in was.keys() | wanted.keys() if was.get(key) != wanted.get(key))
            what = "; ".join(f"{key} was {was.get(key)!r}, is {wanted.get(key)!r}" for key in keys)
        else:
            what = f"was {was!r}, is {wanted!r}"
        problems.append(Problem(name, f"{what}.", fix))
    if recorded["fingerprint"] != plan.dataset.fingerprint:
        images = f"{recorded['images']} images, now {plan.dataset.images}"
        what = f"not the dataset the study began with: it had {images}; names, images or labels differ."
        problems.append(Problem(str(plan.dataset.yaml), what, fix))
    return problems
