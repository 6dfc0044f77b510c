"""Whose weights are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from yolotune.config.layers import make_settings
from yolotune.errors import UserError
from yolotune.record.checkpoint import drop_weights
from yolotune.record.study import trial_folder


def make(folder: Path, values: dict[int, float | None], leaving: int | None = None) -> None:
    for number in values:
        weights = trial_folder(folder, number) / "weights"
        weights.mkdir(parents=True)
        (weights / "best.pt").touch()
        if number != leaving:
            (weights.parent / "ended.yaml").touch()


def left(folder: Path) -> list[int]:
    return sorted(int(path.parts[-3]) for path in folder.glob("trials/*/weights/best.pt"))


@pytest.mark.parametrize(
    ("policy", "mode", "kept"),
    [("all", "max", [0, 1, 2, 3, 4]), ("best", "max", [0, 3]), ("top-2", "max", [0, 2, 3]), ("best", "min", [0, 1])],
)
def test_the_best_and_trial_0_keep_their_weights(tmp_path: Path, policy: str, mode: str, kept: list[int]) -> None:
    values = {0: 0.2, 1: 0.1, 2: 0.5, 3: 0.9, 4: None}
    make(tmp_path, values)
    count = make_settings(data="d", keep_weights=policy).weights_kept
    assert drop_weights(tmp_path, values, mode, count) == sorted(set(values) - set(kept))
    assert left(tmp_path) == kept


def test_a_trial_that_is_still_leaving_is_passed_over(tmp_path: Path) -> None:
    values: dict[int, float | None] = {0: 0.2, 1: 0.1, 2: 0.5}
    make(tmp_path, values, leaving=1)
    assert drop_weights(tmp_path, values, "max", 1) == []
    (trial_folder(tmp_path, 1) / "ended.yaml").touch()
    assert drop_weights(tmp_path, values, "max", 1) == [1]


@pytest.mark.parametrize("words", ["none", "top-0", "top-", "5"])
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(UserError, match="top-5 is expected"):
        make_settings(data="d", keep_weights=words)
