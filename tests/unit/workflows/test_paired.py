"""Means, paired differences and their intervals, against numbers worked out by hand or by scipy."""

from __future__ import annotations

import pytest

from yolotune.workflows.paired import PairedPoint, best_of, compare, conclusion, half_width, spread


def test_spread_and_interval_by_hand() -> None:
    values = [0.01, 0.02, 0.06]  # mean 0.03, squares 4 + 1 + 9 = 14 (1e-4), half of it is 7
    assert spread(values) == pytest.approx(0.0007**0.5)
    assert half_width(values) == pytest.approx(2.919986 * 0.0007**0.5 / 3**0.5)
    assert half_width([0.01]) is None and spread([]) is None


def points(*rows: tuple[int, float | None, list[float | None]]) -> list[PairedPoint]:
    return [compare(trial, value, values, rows[0][2]) for trial, value, values in rows]


def test_differences_are_taken_seed_by_seed() -> None:
    defaults, seven = points((0, 0.30, [0.30, 0.20, 0.25]), (7, 0.36, [0.32, 0.23, 0.26]))
    assert seven.differences == pytest.approx((0.02, 0.03, 0.01))
    assert seven.difference == pytest.approx(0.02)
    assert seven.uncertainty == pytest.approx(2.919986 * 0.01 / 3**0.5)  # far below what the spread of 0.05 suggests
    assert seven.curse == pytest.approx(0.36 - 0.27)
    assert defaults.difference is None and defaults.mean == pytest.approx(0.25)
    assert seven.better("max") and not seven.better("min")


def test_a_point_that_failed_on_a_seed_is_shown_and_never_the_best() -> None:
    defaults, broken, good = points((0, 0.2, [0.2, 0.2]), (3, 0.9, [0.9, None]), (5, 0.4, [0.3, 0.31]))
    assert broken.differences == pytest.approx((0.7,)) and not broken.whole
    assert best_of([defaults, broken, good], "max") is good
    assert best_of([defaults, broken, good], "min") is defaults
    assert best_of([broken], "max") is None


@pytest.mark.parametrize(
    ("rows", "mode", "said"),
    [
        (
            [(0, 0.2, [0.20, 0.21, 0.19]), (7, 0.4, [0.30, 0.32, 0.28])],
            "max",
            "Trial 7 is better than the defaults by 0.100 ± 0.017 (90%, 3 seeds).",
        ),
        (
            [(0, 0.2, [0.20, 0.21]), (7, 0.4, [0.30, 0.20])],
            "max",
            "No point is distinguishable from the defaults with 2 seeds; the best mean, trial 7, differs by "
            "+0.045 ± 0.347 (90%).",
        ),
        (
            [(0, 2.0, [2.0, 2.1]), (7, 1.0, [1.0, 1.1])],
            "min",
            "Trial 7 is better than the defaults by 1.000 ± 0.000 (90%, 2 seeds).",
        ),
        (
            [(0, 0.2, [0.2, 0.2]), (7, 0.4, [0.1, 0.1])],
            "max",
            "No point has a better mean than the defaults (2 seeds).",
        ),
        (
            [(0, 0.2, [0.2]), (7, 0.4, [0.3])],
            "max",
            "Trial 7 has the best mean, but 1 seed cannot say whether that is chance: give --seeds 3.",
        ),
        (
            [(0, 0.2, [0.2, 0.2]), (7, 0.4, [0.25, 0.25]), (8, 0.4, [0.2, 0.4])],
            "max",
            "Better than the defaults beyond chance (90%, 2 seeds): trial 7. Trial 8 has the best mean, but its "
            "difference is +0.100 ± 0.631.",
        ),
        (
            [(0, 0.2, [None, None]), (7, 0.4, [0.25, 0.25])],
            "max",
            "The defaults have no value, so nothing can be compared with them.",
        ),
        (
            [(0, 0.2, [None, 0.2]), (7, 0.4, [None, 0.25])],
            "max",
            "No point trained to its end on every seed, so none is confirmed.",
        ),
    ],
)
def test_no_more_is_said_than_the_seeds_show(
    rows: list[tuple[int, float | None, list[float | None]]], mode: str, said: str
) -> None:
    assert conclusion(points(*rows), mode) == said
