"""When a study ends before its last trial."""

from __future__ import annotations

import pytest

from yolotune.config.budget import Budget
from yolotune.tuner.stop import StudyStop


@pytest.mark.parametrize("others", [0, 1, 3])
def test_an_epoch_on_its_way_counts_as_trained(others: int) -> None:
    stop = StudyStop(Budget(epochs=30), trained={0: 10, 1: 12})
    for number in range(5, 5 + others):
        stop.epoch_begins(number)
    for epoch in range(11, 19 - others):
        assert not stop.is_set()
        stop.epoch_begins(0)
        stop.epoch_ends(0, epoch)
        stop.epoch_ends(0, epoch)  # told twice, trained once
    assert stop.is_set() and stop.reason == "the budget of 30 epochs was spent"
    if others:
        stop.trial_leaves(5)
        assert not stop.is_set(), "its epoch will not be trained"


def test_hours_of_before_count() -> None:
    assert StudyStop(Budget(seconds=60), seconds=61).is_set()
    assert not StudyStop(Budget(seconds=60), seconds=30).is_set()
    assert not StudyStop(None, trained={0: 10**6}, seconds=10**9).is_set()
