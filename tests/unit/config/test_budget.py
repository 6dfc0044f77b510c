"""A budget, as it is written and read; what an effort chooses."""

from __future__ import annotations

import pytest

from yolotune.config.budget import Budget
from yolotune.config.effort import EFFORTS, LEAST_GRACE, default_trials, with_numbers
from yolotune.config.layers import make_settings
from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler, SchedulerSettings
from yolotune.errors import UserError


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2000", Budget(epochs=2000)),
        ("2000epochs", Budget(epochs=2000)),
        (" 1 epoch ", Budget(epochs=1)),
        ("8h", Budget(seconds=28800)),
        ("1.5 h", Budget(seconds=5400)),
        ("90m", Budget(seconds=5400)),
        ("30s", Budget(seconds=30)),
        ("1 h 40 min", Budget(seconds=6000)),
    ],
)
def test_a_budget_is_epochs_or_a_time(text: str, read: Budget) -> None:
    assert Budget.parse(text) == read
    assert Budget.parse(str(read).replace(",", "")) == read
    twice = Budget.parse(read.doubled)
    assert (twice.epochs, twice.seconds) == (read.epochs and 2 * read.epochs, read.seconds and 2 * read.seconds)


@pytest.mark.parametrize("text", ["", "0", "0h", "-5", "1.5", "8 hours", "h", "2e3", "1,000", "nan", "2d"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"budget: got .*Epochs such as 2000, or a time such as 8h"):
        make_settings(data="d.yaml", budget=text)


def test_a_budget_is_spent_by_what_it_counts() -> None:
    assert Budget(epochs=30).spent(30, 0) and not Budget(epochs=30).spent(29, 10**9)
    assert Budget(seconds=60).spent(0, 60) and not Budget(seconds=60).spent(10**9, 59.9)
    assert not Budget().spent(10**9, 10**9)


# --- effort ------------------------------------------------------------------------------------------------------


def test_the_default_effort_is_balanced_and_the_guide_has_none() -> None:
    assert make_settings(data="d.yaml").effort == "balanced"
    assert make_settings(data="d.yaml", preset="guide").effort is None
    assert default_trials(None) == default_trials("balanced") == 50


def test_more_effort_is_more_trials() -> None:
    assert [default_trials(effort) for effort in ("quick", "balanced", "thorough")] == [20, 50, 100]
    assert list(EFFORTS) == ["quick", "balanced", "thorough"]


@pytest.mark.parametrize(("epochs", "grace"), [(250, 38), (40, 6), (30, 4), (20, 3), (6, 3), (2, 2), (1, 1)])
def test_no_trial_is_judged_by_its_first_two_epochs(epochs: int, grace: int) -> None:
    found = with_numbers(AshaSettings(), "balanced", epochs)
    assert isinstance(found, AshaSettings) and found.grace_epochs(epochs) == grace
    assert LEAST_GRACE == 3


def test_without_an_effort_the_first_rung_may_be_at_any_epoch() -> None:
    found = with_numbers(AshaSettings(), None, 6)
    assert isinstance(found, AshaSettings) and found.grace_epochs(6) == 1


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (AshaSettings(), AshaSettings(grace_period=0.1, reduction_factor=3)),
        (AshaSettings(grace_period=0.2), AshaSettings(grace_period=0.2, reduction_factor=3)),
        (HalvingSettings(), HalvingSettings(grace_period=0.1, reduction_factor=3)),
        (HalvingSettings(reduction_factor=4), HalvingSettings(grace_period=0.1, reduction_factor=4)),
        (NoScheduler(), NoScheduler()),
    ],
)
def test_an_effort_chooses_what_is_not_given(scheduler: SchedulerSettings, expected: SchedulerSettings) -> None:
    assert with_numbers(scheduler, "quick", 250) == expected
