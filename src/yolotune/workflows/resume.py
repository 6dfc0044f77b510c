"""Going on with a study: what may have changed since, and what may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.errors import Problem, UserError, fail
from yolotune.record.environment import digest
from yolotune.record.study import StudyRecord, read_study
from yolotune.tuner.check import check
from yolotune.tuner.plan import Listener, Origin, Plan
from yolotune.tuner.runner import run

#: Settings that a trial's value depends on: values of before and after a change cannot be compared.
COMPARED = ("space", "objective", "mode", "epochs", "imgsz", "train", "model")
ALLOW = "undo the change, start a new study, or give --allow-changes."


def resume(
    folder: Path, study: Settings, listener: Listener | None = None, *, allow_changes: bool = False
) -> StudyRecord:
    """Runs what is left of a study and returns its record.

    Args:
        folder: The study's folder.
        study: Its settings of now; the number of trials, ASHA's numbers, resources and more may differ from before.
        listener: Who is told what happens.
        allow_changes: Go on even where values of before and after cannot be compared.

    Raises:
        UserError: Dataset, space or objective are others; the difference is shown.
    """
    before = read_search(folder)
    plan = check(study, before.folder)
    changed = changes(before, plan)
    if changed and not allow_changes:
        raise UserError(changed)
    return run(plan, listener, before)


def read_search(folder: Path) -> StudyRecord:
    """Returns the record of a search.

    Raises:
        UserError: No study there, or one that trains the points of a search again.
    """
    record = read_study(folder.resolve())
    if "origin" in record.settings:
        origin = Origin(**record.settings["origin"])
        search = (record.folder / origin.search).resolve()
        what = f"a {origin.kind} of {search}, not a search."
        raise fail(str(folder), what, f"give the search; to go on with this: {origin.command(record.folder)}")
    return record


def changes(before: StudyRecord, plan: Plan, fix: str = ALLOW) -> list[Problem]:
    """Returns a problem for each change that makes trials of before and after incomparable.

    Args:
        before: The record.
        plan: What is to be run now.
        fix: What the user can do about a change.
    """
    now: dict[str, Any] = {**plan.study.model_dump(), "model": plan.model}
    recorded = began_with(before.folder / "environment.json")
    problems = []
    for name in COMPARED:
        was, wanted = before.settings.get(name), now[name]
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


def began_with(path: Path) -> dict[str, Any]:
    """Returns what environment.json says of the dataset and the weights the study began with."""
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        about = {name: recorded["dataset"][name] for name in ("fingerprint", "images")}
        return {**about, "weights": recorded["model"]["sha256"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"damaged: it does not say which data and weights the study began with ({type(error).__name__})."
        raise fail(str(path), what, "restore the file from a copy.") from error
