"""Names of metrics, F1, and which epoch is the best."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolotune.errors import UserError
from yolotune.metrics import SCORES, best_direction, best_epoch, better, canonical, checked, is_finite, mean_f1


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        ("metrics/F1(M)", "seg_metrics/F1"),
        ("metrics/F1(B)", "box_metrics/F1"),
        ("metrics/mAP50-95(M)", "seg_metrics/map50_95"),
        ("metrics/mAP50(B)", "box_metrics/map50"),
        ("metrics/precision(M)", "seg_metrics/precision"),
        ("train_seg_metrics/F1", "train_seg_metrics/F1"),
        ("val/seg_loss", "val/seg_loss"),
    ],
)
def test_both_ways_of_naming_a_metric_are_understood(written: str, recorded: str) -> None:
    assert canonical(written) == recorded
    assert checked(written, "objective") == recorded


def test_a_metric_that_nobody_reports_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"objective: no trial reports 'metrics/F1\(m\)'. Did you mean metrics/F1\(M\)"):
        checked("metrics/F1(m)", "objective")


def test_scores_are_maximised_and_losses_minimised() -> None:
    assert {best_direction(name) for name in SCORES} == {"max"}
    assert best_direction("metrics/F1(M)") == "max"
    assert best_direction("val/box_loss") == best_direction("train/dfl") == "min"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.5", True])
def test_decisions_rest_on_finite_numbers_only(value: object) -> None:
    assert not is_finite(value)


def test_anything_beats_nothing_and_equals_beat_nobody() -> None:
    assert better(-1.0, None, "max")
    assert better(2.0, 1.0, "max") and not better(2.0, 1.0, "min")
    assert not better(1.0, 1.0, "max") and not better(1.0, 1.0, "min")


def test_f1_is_the_mean_over_classes_and_not_the_harmonic_mean_of_mean_precision_and_recall() -> None:
    # class a: P 0.92, R 0.75; class b is never found, where Ultralytics says P 1, R 0, F1 0
    per_class = np.array([2 * 0.92 * 0.75 / (0.92 + 0.75), 0.0])
    assert mean_f1(per_class) == pytest.approx(0.413, abs=1e-3)


def test_f1_of_nothing_is_zero() -> None:
    assert mean_f1([]) == 0.0


def rows(*values: object) -> list[dict[str, object]]:
    return [{"epoch": epoch, "m": value} for epoch, value in enumerate(values, start=1)]


def test_the_best_epoch_is_the_highest_or_the_lowest() -> None:
    assert best_epoch(rows(0.1, 0.5, 0.3), "m", "max") == (2, 0.5)
    assert best_epoch(rows(0.1, 0.5, 0.3), "m", "min") == (1, 0.1)


def test_of_equal_epochs_the_last_is_the_best_because_best_pt_is_written_again() -> None:
    assert best_epoch(rows(0.5, 0.2, 0.5, 0.1), "m", "max") == (3, 0.5)
    assert best_epoch(rows(0.5, 0.2, 0.2, 0.4), "m", "min") == (3, 0.2)


def test_epochs_without_a_number_are_passed_over() -> None:
    assert best_epoch([{"epoch": 1}, *rows(math.nan, 0.2, None, math.inf)], "m", "max") == (2, 0.2)
    assert best_epoch(rows(math.nan, None), "m", "max") is None
    assert best_epoch([], "m", "max") is None
