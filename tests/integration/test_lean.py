"""What a training leaves out changes none of its numbers: each saving is held against the plain way, seed by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import plainly
from yolotune import checkpoint
from yolotune.job import Job, Order
from yolotune.trainer import TrialTrainer

EPOCHS = 3
POINT = {"lr0": 0.01, "batch": 4}


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training leaves."""

    rows: list[dict[str, Any]]
    best: dict[str, Any]
    last: dict[str, Any]
    state: dict[str, Any]


def train(job: Job, folder: Path) -> Trained:
    """Trains, and leaves the training with everything that it would go on from."""
    rows: list[dict[str, Any]] = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        rows.append({name: value for name, value in row.items() if name != "seconds"})
        return Order.LEAVE if row["epoch"] == EPOCHS else Order.GO

    TrialTrainer(job, POINT, folder, on_epoch).train()
    weights = folder / "weights"
    files = (weights / name for name in ("best.pt", "last.pt", checkpoint.STATE))
    return Trained(rows, *(torch.load(file, weights_only=False) for file in files))


@pytest.fixture(scope="module")
def learner(job: Job) -> Job:
    """A training of more epochs than it will see, so that it is left and not ended."""
    return dataclasses.replace(job, epochs=EPOCHS + 1)


@pytest.fixture(scope="module")
def lean_way(learner: Job, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(learner, tmp_path_factory.mktemp("lean"))


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


@pytest.mark.parametrize("saving", [None, *plainly.SAVINGS])
def test_a_saving_changes_no_number_and_no_weight(
    learner: Job, lean_way: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saving: str | None
) -> None:
    for undone in plainly.SAVINGS if saving is None else (saving,):
        monkeypatch.setattr(*plainly.SAVINGS[undone])
    plain = train(learner, tmp_path)
    assert plain.rows == lean_way.rows
    unlike = {"/date", "/train_args/save_dir", "/model/args/save_dir", "/ema/args/save_dir"}
    for name in ("best", "last", "state"):
        places = set(differences(getattr(plain, name), getattr(lean_way, name)))
        assert {place for place in places - unlike if "/train_results/time" not in place} == set(), name


def test_what_is_saved_is_a_model_of_its_own(learner: Job, tmp_path: Path) -> None:
    """The model in a checkpoint is used again for the next one, so nothing of the training may hang on it."""
    models = []

    def on_epoch(row: dict[str, Any], last: bool) -> Order:
        models.append((trainer.rounded.to_save(trainer.ema.ema), trainer.rounded.to_validate(trainer.ema.ema)))
        return Order.LEAVE if row["epoch"] == 2 else Order.GO

    trainer = TrialTrainer(learner, POINT, tmp_path, on_epoch)
    trainer.train()
    own = {tensor.data_ptr() for tensor in trainer.ema.ema.state_dict().values()}
    for saved, validated in models:
        assert saved is models[0][0] and validated is models[0][1]
        assert all(
            tensor.data_ptr() not in own for model in (saved, validated) for tensor in model.state_dict().values()
        )
        assert {tensor.dtype for tensor in saved.parameters()} == {torch.float16}
