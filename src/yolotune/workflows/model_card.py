"""`model-card.md`: all that a reader of a model has to know, from the record alone; pure text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from yolotune.data.dataset import Dataset
from yolotune.metrics import GROUPS, SHORT
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report import on_test
from yolotune.tracking import run_id
from yolotune.tuner.plan import Plan
from yolotune.workflows.paired import mean, spread

TITLES = dict(zip(GROUPS, ("masks, val", "boxes, val", "masks, train", "boxes, train"), strict=True))
TITLES |= {"test_seg_metrics": "masks, test", "test_box_metrics": "boxes, test"}
SEEN = (
    "Trained on the val images too: a score on val is of images that the model has seen, and says nothing of new ones."
)


def sentence(record: StudyRecord, *, on_all: bool) -> str:
    """Returns how good the best model of a retrain is.

    Args:
        record: Of the retrain.
        on_all: Whether the val images were trained on.
    """
    best = record.best
    if best is None:
        return "No training has a value."
    said = f"Seed {best.point['seed']}: {record.settings.objective} {best.value:.4f} at epoch {best.best_epoch}."
    values = [trial.value for trial in record.trials if trial.value is not None]
    deviation = spread(values)
    if deviation is not None:
        said += (
            f" The best of {len(values)} seeds, so it looks a little better than it is: "
            f"their mean is {mean(values):.4f}, their spread {deviation:.4f}."
        )
    said = f"{said} {SEEN}" if on_all else said
    tested = on_test.sentence(record, best, metric=on_test.metric_name(record))
    return f"{said} {tested}" if tested else said


def model_card(search: StudyRecord, trial: TrialRecord, plan: Plan, record: StudyRecord, *, on_all: bool) -> str:
    """Returns the text of a model card.

    Args:
        search: Where the point comes from.
        trial: Of the search, whose point was trained.
        plan: What was trained.
        record: Of the trainings, one per seed; one of them has a value.
        on_all: Whether the val images were trained on.
    """
    best = record.best
    assert best is not None
    environment = json.loads((record.folder / "environment.json").read_text(encoding="utf-8"))
    sections = {
        f"{search.settings.name}: final model": [sentence(record, on_all=on_all)],
        "Data": _data(plan, on_all=on_all),
        "Scores": list(_scores(best, record)),
        "Where it comes from": _lineage(search, trial, plan, record, best),
        "Trained with": list(_hyperparameters(plan, best)),
        "Versions": [f"- {name} {version}" for name, version in environment["versions"].items() if version],
        "Use it": [
            "```",
            "yolo segment predict model=best.pt source=path/to/images",
            "yolo export model=best.pt format=onnx",
            "```",
        ],
    }
    sections["Versions"].append(f"- Python {environment['python']} on {environment['machine']}")
    text = [
        f"{'#' if not place else '##'} {title}\n\n" + "\n".join(lines)
        for place, (title, lines) in enumerate(sections.items())
    ]
    return "\n\n".join(text) + "\n"


def _data(plan: Plan, *, on_all: bool) -> list[str]:
    data = plan.dataset
    names = ", ".join(f"{number} {name}" for number, name in data.names.items())
    seen = ", all seen in training" if on_all else ""
    counts = f"{data.images['train']} images, {data.instances['train']} objects"
    return [
        f"- `{data.yaml}`, fingerprint `{data.fingerprint}`",
        f"- Classes: {names}",
        f"- Trained on {counts}{', those of val among them' if on_all else ''}",
        f"- Scored on {data.images['val']} images, {data.instances['val']} objects of val{seen}",
        *_test_split(data),
    ]


def _test_split(data: Dataset) -> list[str]:
    if not data.instances.get("test"):
        return []
    return [f"- Scored once on {data.images['test']} images, {data.instances['test']} objects of test"]


def _scores(best: TrialRecord, record: StudyRecord) -> Iterator[str]:
    """Yields what best.pt scores, and the value of every seed."""
    row = next((row for row in best.epochs if row["epoch"] == best.best_epoch), {})
    tested = (record.on_test.of(best) if record.on_test else None) or {}
    row = row | {f"test_{name}": value for name, value in tested.items()}
    yield f"| best.pt, epoch {best.best_epoch} of {len(best.epochs)} | " + " | ".join(SHORT.values()) + " |"
    yield "|---|" + "---|" * len(SHORT)
    for group, title in TITLES.items():
        numbers = [row.get(f"{group}/{name}") for name in SHORT.values()]
        if any(number is not None for number in numbers):
            yield f"| {title} | " + " | ".join("-" if n is None else f"{n:.4f}" for n in numbers) + " |"
    yield ""
    yield f"| seed | {record.settings.objective} | verdict |"
    yield "|---|---|---|"
    for trial in record.trials:
        value = "-" if trial.value is None else f"{trial.value:.4f}"
        mark = " (this model)" if trial is best else ""
        yield f"| {trial.point['seed']}{mark} | {value} | {trial.verdict} |"


def _lineage(search: StudyRecord, trial: TrialRecord, plan: Plan, record: StudyRecord, best: TrialRecord) -> list[str]:
    value = "-" if trial.value is None else f"{trial.value:.4f}"
    lines = [
        f"- Search `{search.settings.name}`, uid `{search.uid}`, trial {trial.number}",
        f"- Search value of that trial ({search.settings.objective}): {value}",
    ]
    held = search.confirmed
    if held is not None and held.trial == trial.number:
        seeds = ", ".join(map(str, held.seeds))
        lines.append(f"- Confirmed: mean {held.mean:.4f} over the fresh seeds {seeds}")
    else:
        lines.append("- Not confirmed on fresh seeds")
    if plan.tracking == "disabled":
        return [*lines, "- Not tracked"]
    run = run_id(record.uid, best.number)
    source = run_id(search.uid, trial.number)
    return [*lines, f"- {plan.settings.tracker} ({plan.tracking}): run `{run}`, made from run `{source}`"]


def _hyperparameters(plan: Plan, best: TrialRecord) -> Iterator[str]:
    """Yields all arguments, as `yolo segment train` takes them."""
    trained: Mapping[str, Any] = plan.hyperparameters(best.point, best.effective)
    yield "```yaml"
    yield from (f"{name}: {value}" for name, value in trained.items())
    yield "```"
