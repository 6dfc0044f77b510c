"""The regret bench: its arithmetic on numbers small enough to see, and its ways of searching on a small table."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search import regret
from benchmarks.search.curves import KEPT
from benchmarks.search.genetic import Genetic
from benchmarks.search.random_points import random_points
from benchmarks.search.regret import METHODS, run
from benchmarks.search.regret_report import curve, interval, paired, times_fewer
from benchmarks.search.surrogate import Process, Surrogate
from yolotune.config.layers import make_settings
from yolotune.record.verdict import Ending, Verdict

BUDGETS = np.array([1.0, 2.0, 5.0, 10.0])
EPOCHS = 6


def test_a_curve_steps_at_each_new_best_and_ends_with_the_budget() -> None:
    row = {"trace": [[6, 0.1, 0.2], [30, 0.3, 0.1]], "epochs": EPOCHS, "budget": 5.0}
    assert curve(row, np.array([0.5, 1.0, 4.9, 5.0])).tolist() == [0.0, 0.2, 0.2, 0.1]
    assert np.isnan(curve(row, np.array([10.0]))).all()


def test_equal_quality_counts_from_where_it_lasts() -> None:
    full = np.array([[0.1, 0.1, 0.2, 0.3]])
    assert times_fewer(np.array([[0.1, 0.3, 0.3, 0.3]]), full, BUDGETS) == 5
    assert times_fewer(np.array([[0.1, 0.3, 0.2, 0.3]]), full, BUDGETS) == 1, "0.2 at a budget of 5 is worse again"
    assert times_fewer(np.array([[0.1, 0.2, 0.2, 0.2]]), full, BUDGETS) == 0
    assert times_fewer(np.array([[0.1, 0.3, np.nan, np.nan]]), full, BUDGETS) == 5
    shorter = np.array([[0.1, 0.1, 0.2, np.nan]])
    assert times_fewer(np.array([[0.1, 0.2, 0.2, 0.1]]), shorter, BUDGETS) == 2.5, "that had a budget of 5"


def test_methods_are_compared_seed_by_seed_in_each_half_and_in_both(capsys: pytest.CaptureFixture[str]) -> None:
    about = {"epochs": 6, "budget": 2.5, "warm": False, "slots": 1}
    rows = [
        {**about, "method": name, "half": half, "seed": seed, "trace": [[6, 0.1, 0.2 + gain + seed / 100 + half / 10]]}
        for name, gains in {"a": (0.02, 0.04), "b": (0.0, 0.0)}.items()
        for half in (0, 1)
        for seed, gain in enumerate(gains)
    ]
    paired(rows, "b")
    said = capsys.readouterr().out
    assert "| a, cold, slots: 1 | 0 | 2 | +0.0300 (0.205) |" in said
    assert "| a, cold, slots: 1 | 0 and 1 | 4 | +0.0300 (0.014) |" in said


def test_the_interval_is_over_seeds() -> None:
    full = np.full((8, 4), 0.3)
    same = np.tile([0.1, 0.3, 0.3, 0.3], (8, 1))
    assert interval(same, full, BUDGETS) == (5, 5)
    mixed = np.vstack([same[:4] - 0.01, same[:4] + 0.01])
    low, high = interval(mixed, full, BUDGETS)
    assert (low, high) == (0, 5)


def test_the_genetic_tuner_begins_with_the_points_and_mutates_the_best() -> None:
    settings = make_settings(data="d.yaml")
    points = random_points(6, seed=3, nc=1)
    asked = []
    for _ in range(2):
        tuner = Genetic(settings, points, seed=0)
        for number, point in enumerate(points):
            assert tuner.ask().point == point
            tuner.report(number, 1, 0.9 if number == 4 else 0.001)
            tuner.tell(number, Ending(Verdict.COMPLETED, "all epochs"))
        asked.append(tuner.ask().point)
    assert asked[0] == asked[1]
    same = [name for name in tuner._tuner.space if asked[0][name] == pytest.approx(points[4][name], abs=1e-5)]
    assert len(same) >= 5, "half of the genes of the best stay"
    for name, (low, high, *_) in tuner._tuner.space.items():
        assert low <= asked[0][name] <= high


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A table of 32 trainings of 6 epochs that end the higher the larger their momentum is."""
    path = tmp_path_factory.mktemp("table") / "made.jsonl.gz"
    rng = random.Random(0)
    with gzip.open(path, "wt") as file:
        print(json.dumps({"about": "made"}), file=file)
        for point in random_points(32, seed=0, nc=1):
            best = (float(point["momentum"]) - 0.6) * 2 + rng.gauss(0, 0.01)
            rows = [
                {"epoch": epoch, "seconds": 1.0} | dict.fromkeys(KEPT, max(0.0, best * epoch / EPOCHS))
                for epoch in range(1, EPOCHS + 1)
            ]
            print(json.dumps({"point": point, "epochs": rows}), file=file)
    with pytest.MonkeyPatch.context() as patch:  # so that fitting takes half a second
        patch.setattr(regret, "KNOWN", 500)
        patch.setattr(Surrogate, "COMPONENTS", 2)
        patch.setattr(Process, "STARTS", (0.5,))
        yield path


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("name", ["ASHA, TPE", "halving, TPE", "genetic Tuner", "6 hyperparameters: ASHA, GP"])
def test_each_way_of_searching_spends_its_budget_and_no_more(name: str, warm: bool, table: Path) -> None:
    row = run(table, 0, name, warm, 0, 6.0)
    assert name in METHODS and row["trials"] >= 6
    spent, seen, true = zip(*row["trace"], strict=True)
    assert list(spent) == sorted(spent) and spent[-1] <= 6 * EPOCHS
    assert list(seen) == sorted(seen)
    assert all(0 <= value <= 1 for value in true)
    assert row["known_best"] == pytest.approx(0.76, abs=0.15)


def test_a_study_that_is_run_again_is_the_same(table: Path) -> None:
    assert run(table, 0, "ASHA, TPE", True, 0, 4.0) == run(table, 0, "ASHA, TPE", True, 0, 4.0)


def test_slots_share_a_budget(table: Path) -> None:
    rows = [run(table, 0, "ASHA, TPE", False, 0, 6.0, slots) for slots in (1, 4)]
    assert [row["slots"] for row in rows] == [1, 4]
    assert all(row["trace"][-1][0] <= 6 * EPOCHS for row in rows)
    assert rows[0]["trace"] != rows[1]["trace"], "four slots learn of a trial later than one"
