"""What a training leaves, and whether two trainings left the same, number by number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from yolotune.config.space import Point
from yolotune.record import checkpoint
from yolotune.training.job import Job, Order
from yolotune.training.trainer import TrialTrainer


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    rows: list[dict[str, Any]]
    best: dict[str, Any]
    last: dict[str, Any]
    state: dict[str, Any]


def train_and_leave(
    job: Job, point: Point, folder: Path, epochs: int, kind: type[TrialTrainer] = TrialTrainer
) -> Trained:
    """Trains some epochs, and leaves the training with everything that it would go on from."""
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        rows.append({name: value for name, value in row.items() if name != "seconds"})
        return Order.LEAVE if row["epoch"] == epochs else Order.GO

    kind(job, point, folder, on_epoch).train()
    weights = folder / "weights"
    files = (weights / name for name in ("best.pt", "last.pt", checkpoint.STATE))
    return Trained(rows, *(torch.load(file, weights_only=False) for file in files))


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Returns where two trees of maps, lists, tensors and models differ."""
    if isinstance(one, torch.nn.Module):
        kept = ("yaml", "nc", "args", "names", "stride", "criterion")
        attributes = [{name: getattr(model, name, None) for name in kept} for model in (one, other)]
        found = differences(*attributes, where)
        return found + differences(one.state_dict(), other.state_dict(), where)
    if isinstance(one, SimpleNamespace):
        return differences(vars(one), vars(other), where)
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
        return [] if same else [where]
    if isinstance(one, Mapping) and one.keys() == other.keys():
        return [place for key in one for place in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [place for at, (a, b) in pairs for place in differences(a, b, f"{where}/{at}")]
    return [] if one == other else [where]


def assert_same(one: Trained, other: Trained) -> None:
    """All reports, and all tensors and words of the checkpoints, but for times and places."""
    assert one.rows == other.rows
    unlike = {"/date", "/train_args/save_dir", "/model/args/save_dir", "/ema/args/save_dir"}
    for name in ("best", "last", "state"):
        places = set(differences(getattr(one, name), getattr(other, name)))
        assert {place for place in places - unlike if "/train_results/time" not in place} == set(), name
