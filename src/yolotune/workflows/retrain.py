"""The final training: the best point of a search, or the confirmed one, longer or on more images if wanted.

It is a study of its own in `retrain/<n>/` in which only the seed varies; so it continues after a crash, shows itself in
W&B and on the terminal, and keeps its record as every study does.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolotune._yaml import write_atomic
from yolotune.config.arguments import ANY_SEED, RESERVED, SEEDS
from yolotune.config.layers import load_settings
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.data.dataset import with_val_trained
from yolotune.errors import fail
from yolotune.record.environment import began_with
from yolotune.record.provenance import Origin
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.tuner.check import check
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Objects, Plan
from yolotune.workflows.model_card import model_card, sentence
from yolotune.workflows.resume import changes, read_search
from yolotune.workflows.running import require_objects, run_plan


@dataclass(frozen=True)
class Retrained:
    """A final model.

    Attributes:
        record: Of the trainings, one per seed.
        weights: `best.pt` of the best of them; `last.pt` and `model-card.md` lie beside it.
        sentence: How good it is, in words.
    """

    record: StudyRecord
    weights: Path
    sentence: str


def retrain(
    folder: str | Path,
    settings: Settings | None = None,
    listener: Listener | None = None,
    *,
    seeds: int = 1,
    on_all: bool = False,
    objects: Objects | None = None,
) -> Retrained:
    """Trains the point that best.yaml of a search holds, in the next free folder below `retrain/`.

    The same call continues one that was stopped on its way.

    Args:
        folder: Of the search.
        settings: Its settings with changes: epochs, image size, model, `train`, whose arguments go before the point's.
            None for those it has.
        listener: Who is told what happens.
        seeds: Trainings: on the study's seed and those after it; the best by its value on the val images is marked.
        on_all: Train on the val images too; then no score is an honest one.
        objects: What only Python can give.

    Raises:
        UserError: No point, or something is wrong with data or arguments.
        StudyFailed: No training has a value.
        KeyboardInterrupt: It was stopped.
    """
    search = read_search(folder)
    settings = settings or load_settings(search.folder, {})
    require_objects(settings.model_copy(update={"search": "random"}), objects or Objects())
    trial = search.chosen
    if trial is None:
        raise fail(str(folder), "no trial has a value, so there is no point to train.", "resume it: yolotune resume.")
    overrides = changed_arguments(search, settings)
    origin = Origin(
        kind="retrain",
        study=settings.name,
        uid=search.uid,
        search="../..",
        again=_again(search, settings, overrides, seeds=seeds, on_all=on_all),
        what=f"trial {trial.number} of {settings.name}" + (", on train and val images" if on_all else ""),
        trial=trial.number,
    )
    folders = _folders(search.folder)
    target = search.folder / "retrain" / str(max(folders, default=0) + 1)
    plan = check(
        _final_settings(settings, trial, overrides, seeds), target, searches=False, learns=False, objects=objects
    )
    points: list[Point] = [{"seed": (settings.seed + step) % SEEDS} for step in range(seeds)]
    plan = replace(plan, points=points, origin=origin, folder=target, keep_last=True)
    plan = replace(plan, notes=[*plan.notes, *_notes(search, plan)])
    if on_all:
        plan = replace(plan, dataset=with_val_trained(plan.dataset))
    record = run_plan(plan, listener or Listener(), _stopped(folders, plan), delivered=_best_alone)
    return _finish(search, trial, plan, record, on_all=on_all)


def _final_settings(settings: Settings, trial: TrialRecord, overrides: dict[str, Any], seeds: int) -> Settings:
    """Returns the settings of the final trainings: no rule ends one early, and only the seed varies."""
    without_rules: dict[str, Any] = {
        "points": [],
        "warm_start": [],
        "scheduler": "none",
        "plateau": None,
        "effort": None,
    }
    only_seeds = {"search": "random", "space": {"seed": ANY_SEED}, "num_samples": seeds, "budget": None}
    given = {**settings.model_dump(), **without_rules, **only_seeds, "preset": "none", "keep_weights": "all"}
    return Settings(**{**given, "name": f"{settings.name}-retrain", "train": arguments(settings, trial, overrides)})


def changed_arguments(search: StudyRecord, settings: Settings) -> dict[str, Any]:
    """Returns the Ultralytics arguments that are others than in the search; they go before those of the point."""
    recorded = search.settings.train
    changed = {name: value for name, value in settings.train.items() if recorded.get(name, _UNSET) != value}
    return changed | ({"imgsz": settings.imgsz} if settings.imgsz != search.settings.imgsz else {})


_UNSET = object()


def arguments(settings: Settings, trial: TrialRecord, overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns what is trained with: the study's fixed arguments, the point, what the trial made of it, the changes."""
    trained = {**settings.parsed[1], **settings.train, **trial.point, **trial.effective, **overrides}
    return {name: value for name, value in trained.items() if name not in RESERVED}


def _again(search: StudyRecord, settings: Settings, overrides: dict[str, Any], *, seeds: int, on_all: bool) -> str:
    """Returns the words that make this training out of the search: what a user types to continue it."""
    words = [f"--seeds {seeds}"] if seeds > 1 else []
    words += ["--on-all"] if on_all else []
    for name in ("model", "epochs", "seed"):
        if getattr(settings, name) != getattr(search.settings, name):
            words.append(f"--{name} {shlex.quote(str(getattr(settings, name)))}")
    return " ".join([*words, *(shlex.quote(f"{name}={value}") for name, value in overrides.items())])


def _notes(search: StudyRecord, plan: Plan) -> list[str]:
    said = []
    recorded = began_with(search.folder)
    if recorded["fingerprint"] != plan.dataset.fingerprint:
        said.append("not the dataset of the search: values of then and now cannot be compared.")
    held = search.confirmed
    if held is None or search.chosen is None or held.trial != search.chosen.number:
        said.append("the point is not confirmed; `yolotune confirm` tells whether it is better than the defaults.")
    return said


def _best_alone(record: StudyRecord) -> list[TrialRecord]:
    """Returns what a retrain delivers."""
    return [record.best] if record.best else []


def _folders(search: Path) -> dict[int, Path]:
    """Returns the folders of earlier retrains by number."""
    return {int(path.name): path for path in (search / "retrain").glob("*") if path.name.isdecimal()}


def _stopped(folders: dict[int, Path], plan: Plan) -> StudyRecord | None:
    """Returns the latest retrain if it is the same one and was stopped on its way."""
    latest = folders[max(folders)] if folders else None
    if latest is None or not (latest / "study.yaml").exists():
        return None
    record = read_study(latest)
    origin = record.origin
    if plan.origin is None or origin is None or (origin.again, origin.trial) != (plan.origin.again, plan.origin.trial):
        return None
    ended = [trial for trial in record.trials if not trial.unfinished]
    over = len(ended) >= plan.settings.trials and (record.best is None or (latest / CARD).exists())
    return None if over or changes(record, plan) else record


WEIGHTS = Path("weights")
CARD = WEIGHTS / "model-card.md"


def _finish(search: StudyRecord, trial: TrialRecord, plan: Plan, record: StudyRecord, *, on_all: bool) -> Retrained:
    """Puts the best model where users look for it, and last its card: with it the retrain is complete."""
    best = record.best
    assert best is not None  # else the run has failed
    folder = record.folder / WEIGHTS
    folder.mkdir(exist_ok=True)
    for name in ("best.pt", "last.pt"):
        copied = folder / f".{name}.tmp"
        shutil.copyfile(best.folder / WEIGHTS / name, copied)
        copied.replace(folder / name)
    card = model_card(search, trial, plan, record, on_all=on_all)
    write_atomic(record.folder / CARD, card.encode())
    return Retrained(record, folder / "best.pt", sentence(record, on_all=on_all))
