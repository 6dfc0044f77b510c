"""How trials at a rung are ranked: losses by their gains, and scores by the share of others."""

from __future__ import annotations

import math

import pytest

from yolotune.metrics import TRAIN_LOSSES
from yolotune.schedulers.ranking import GAINS, all_have_signals, losses, scores

ROW = {"train/box": 1.5, "train/seg": 3.0, "train/cls": 2.0, "train/dfl": 0.8, "seg_metrics/F1": 0.5}


def test_a_loss_counts_by_its_own_gain() -> None:
    assert losses(ROW, {"box": 7.5, "cls": 0.5}) == (-1.5 / 7.5, -3.0 / 7.5, -2.0 / 0.5, -0.8)
    assert losses(ROW, {}) == (-1.5, -3.0, -2.0, -0.8)
    assert losses(ROW, {"dfl": 2.0})[3] == -0.4


def test_equal_training_under_other_gains_ranks_equal() -> None:
    """Ultralytics reports losses times gain: twice the gain, twice the number, the same training."""
    heavy = {**ROW, "train/box": 3.0, "train/seg": 6.0, "train/cls": 6.0}
    found = scores(
        {0: (0.5, *losses(ROW, {"box": 5.0, "cls": 1.0})), 1: (0.5, *losses(heavy, {"box": 10.0, "cls": 3.0}))}
    )
    assert found == {0: 0.5, 1: 0.5}


def test_the_score_is_the_mean_share_of_others_that_a_trial_is_ahead_of() -> None:
    found = scores({7: (0.2, -1.0), 8: (0.1, -1.0), 9: (0.2, -3.0)})
    assert found == {7: pytest.approx((0.75 + 0.75) / 2), 8: pytest.approx(0.375), 9: pytest.approx(0.375)}
    assert scores({3: (0.5, -1.0)}) == {3: 0.0}
    assert scores({}) == {}


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    assert losses({**ROW, "train/seg": math.nan}, {})[1] == -math.inf
    found = scores({0: (0.5, *losses({**ROW, "train/seg": math.nan}, {})), 1: (0.5, *losses(ROW, {}))})
    assert found[0] < found[1]


def test_where_a_report_lacks_losses_all_are_ranked_by_the_objective() -> None:
    lacking = {name: value for name, value in ROW.items() if name != "train/dfl"}
    assert losses(lacking, {}) == ()
    mixed = {0: (0.3,), 1: (0.2, *losses(ROW, {}))}
    assert not all_have_signals(mixed) and not all_have_signals({})
    assert scores(mixed) == {0: 0.3, 1: 0.2}


def test_the_trainer_reports_these_losses() -> None:
    assert GAINS.keys() == set(TRAIN_LOSSES)
