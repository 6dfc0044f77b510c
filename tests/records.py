"""Studies that were never trained: records written as the driver writes them, with curves made up and ASHA's rules."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.config.space import Choice, Point, RandInt, Uniform
from yolotune.record.study import Ending, Verdict
from yolotune.record.writer import Record
from yolotune.schedulers.asha import Halving
from yolotune.schedulers.halving import SuccessiveHalving, Word

SPACE: dict[str, Any] = {
    "lr0": "loguniform(1e-4, 1e-1)",
    "momentum": "uniform(0.6, 0.98)",
    "warmup_epochs": "randint(0, 5)",
    "optimizer": "choice([AdamW, SGD])",
    "batch": "choice([8, 16, 32])",
}
ENVIRONMENT: dict[str, Any] = {
    "started": "2026-11-01T10:00:00+0000",
    "versions": {"yolotune": "0.1.0", "ultralytics": "8.4.190", "wandb": None},
    "python": "3.11.7",
    "machine": "Linux x86_64, 2 cores",
    "gpus": [],
    "git": None,
    "dataset": {
        "yaml": "/data/data.yaml",
        "fingerprint": "ab" * 32,
        "images": {"train": 400, "val": 200},
        "instances": {"train": 2500, "val": 1200},
        "names": {"0": "person"},
    },
    "seed": 0,
    "notes": [],
}


def point_of(study: Settings, draw: random.Random) -> Point:
    point: Point = {}
    for name, domain in study.domains.items():
        if isinstance(domain, Uniform):
            low, high = (math.log(end) if domain.log else end for end in (domain.low, domain.high))
            at = draw.uniform(low, high)
            point[name] = math.exp(at) if domain.log else at
        elif isinstance(domain, RandInt):
            point[name] = draw.randrange(domain.low, domain.high)
        elif isinstance(domain, Choice):
            point[name] = draw.choice(domain.options)
    return point


def write_study(
    folder: Path,
    *,
    trials: int,
    values: Mapping[int, list[float]] | None = None,
    endings: Mapping[int, Ending | None] | None = None,
    environment: Mapping[str, Any] | None = None,
    train_metrics: bool = True,
    seed: int = 0,
    **settings: Any,
) -> Path:
    """Writes a study whose curves rise to a level that lr0 alone decides, and returns its folder.

    Args:
        folder: Where to put it; it must not exist.
        trials: Number of trials; trial 0 is always run in full.
        values: Objective by epoch, of trials that are to have another curve.
        endings: Of trials that are to end otherwise; None for one that runs.
        environment: Of environment.json.
        train_metrics: Whether trials report the train split.
        seed: Of points and noise.
        settings: Of the study.
    """
    given = {"data": "/data/data.yaml", "epochs": 30, "num_samples": max(1, trials), "space": SPACE}
    study = Settings(**{**given, **settings})
    record = Record(folder, metric=study.metric, mode=study.direction, uid="abcdef01")
    record.create(study.model_dump(), ENVIRONMENT if environment is None else environment)
    draw = random.Random(seed)
    rules = Halving(study) if study.scheduler == "asha" else None
    drawn = []
    for number in range(trials):
        point = point_of(study, draw)
        own = (values or {}).get(number)
        drawn.append((point, own, own if own is not None else _curve(study, point, draw)))
    halved = _halved(study, [curve for _, _, curve in drawn]) if study.scheduler == "halving" else {}
    for number, (point, own, curve) in enumerate(drawn):
        record.start(number, point)
        ending = Ending(Verdict.COMPLETED, f"all {study.epochs} epochs")
        length, ending = halved.get(number, (len(curve), ending))
        for epoch, value in enumerate(curve[:length], start=1):
            record.append(number, _row(study, epoch, value, train_metrics))
            cut = rules.judge(number, epoch, value) if rules else None
            if cut and number and own is None:
                reason = f"rung at epoch {cut.milestone}: below the cut-off {abs(cut.cutoff):.4f} of {cut.peers} trials"
                ending = Ending(Verdict.PRUNED, reason)
                break
        told = (endings or {}).get(number, ending)
        if told is not None:
            value = record.end(number, told, {})
            if value is not None:
                record.offer_best(number, value, point)
    return folder


def _halved(study: Settings, curves: list[list[float]]) -> dict[int, tuple[int, Ending]]:
    """Returns how far each trial trains under synchronous halving, and how it ends."""
    rules = SuccessiveHalving(study)
    rules.no_more(len(curves))
    found = {number: (0, Ending(Verdict.COMPLETED, "all")) for number in range(len(curves))}
    while (turn := rules.turn(())) is not None:
        (epoch, ending), curve = found[turn.number], curves[turn.number]
        while turn.cut is None and rules.word(turn.number) is Word.TRAIN and epoch < len(curve):
            epoch += 1
            rules.report(turn.number, epoch, curve[epoch - 1])
        cut = rules.word(turn.number) is Word.CUT
        found[turn.number] = epoch, Ending(Verdict.PRUNED, rules.reason(turn.number)) if cut else ending
        if cut or epoch == len(curve):
            rules.end(turn.number, found[turn.number][1].verdict)
    return found


def _curve(study: Settings, point: Point, draw: random.Random) -> list[float]:
    level = 0.8 - 0.2 * abs(math.log10(float(point.get("lr0", 0.003)) / 0.003))
    noise = (draw.gauss(0, 0.004) for _ in range(study.epochs))
    rising = [level * (1 - math.exp(-(epoch + 1) / 6)) + jitter for epoch, jitter in enumerate(noise)]
    return rising if study.direction == "max" else [2.0 - value for value in rising]


def _row(study: Settings, epoch: int, value: float, train_metrics: bool) -> dict[str, Any]:
    score = value if study.metric == "seg_metrics/F1" else 0.5
    row = {"epoch": epoch, "seconds": 2.5, "seg_metrics/F1": score, study.metric: value}
    if train_metrics:
        row |= {"train_seg_metrics/F1": score + 0.01 * epoch, "train/seg": 1.0 / epoch}
    return row
