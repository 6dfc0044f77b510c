"""The simulated study: on tables small enough to work out by hand it spends and delivers exactly that."""

from __future__ import annotations

import gzip
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search.comparison import compare, surrogate_study, table_study
from benchmarks.search.curves import F1, TRAIN_F1, Curve, half_of, lookup, read_table
from benchmarks.search.simulation import GivenPoints, Outcome, Search, SimulatedStudy, simulate
from benchmarks.search.strategies import RUN_ALL, STRATEGIES, Strategy
from benchmarks.search.surrogate import Surrogate
from yolotune.config.layers import make_settings
from yolotune.config.points import default_point
from yolotune.config.space import Point
from yolotune.search.optimizer import Optimizer

SPACE = make_settings(data="none").domains
DEFAULTS = default_point(SPACE, 1)[0]
NUMBERS = {"grace_period": 2, "reduction_factor": 2, "rank": "best"}
ASHA = {"name": "asha", "brackets": 1, **NUMBERS}
HALVING = {"name": "halving", "batch": 2, **NUMBERS}
#: F1 over 8 epochs. A second per epoch, but 3 for trial 1.
SLOW_START = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9]
GOOD = [0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.7]
EARLY_PEAK = [0.5, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
FLAT = [0.05] * 8
TABLE = [GOOD, SLOW_START, EARLY_PEAK, FLAT]


def curve(number: int, values: list[float], seconds: float = 1.0, loss: float = 1.0, **given: Any) -> Curve:
    point: Point = {**DEFAULTS, "weight_decay": number / 1e5, **given}
    rows = (
        {"epoch": epoch, "seconds": seconds, F1: value, TRAIN_F1: value}
        | dict.fromkeys(("train/box", "train/seg", "train/cls", "train/dfl"), loss)
        for epoch, value in enumerate(values, start=1)
    )
    return Curve(point, tuple(rows))


CURVES = [curve(number, values, 3.0 if number == 1 else 1.0) for number, values in enumerate(TABLE)]


def study_of(strategy: Strategy, curves: list[Curve], search: Search | None = None) -> SimulatedStudy:
    settings = strategy.settings(epochs=8, num_samples=len(curves))
    return SimulatedStudy(settings, search or GivenPoints([curve.point for curve in curves]), lookup(curves))


def run(strategy: Strategy, slots: int = 1, search: Search | None = None) -> tuple[list[int], Outcome]:
    """Returns the epochs of each trial, in the table's order, and the outcome."""
    study = study_of(strategy, CURVES, search)
    outcome = simulate(study, slots)
    return [training.epoch for training in study.trainings], outcome


def test_run_all_trains_everything_and_delivers_the_best_epoch() -> None:
    epochs, outcome = run(RUN_ALL)
    assert epochs == [8, 8, 8, 8]
    assert (outcome.epochs, outcome.delivered, outcome.seconds) == (32, 0.9, 8 + 24 + 8 + 8)


def test_two_slots_share_the_clock() -> None:
    """Trial 0 takes 8 s, then 2 and 3 another 16 s, beside trial 1, which takes 24 s."""
    assert run(RUN_ALL, slots=2)[1].seconds == 24


def test_asha_ends_what_is_below_the_median_of_its_rung() -> None:
    """Rungs 2, 4, 8. At 2: 0.3 alone; 0.1 < 0.3 is cut; 0.5 >= 0.2; 0.05 < 0.3. At 4: 0.5 alone; 0.5 >= 0.5."""
    epochs, outcome = run(Strategy("asha", ASHA))
    assert epochs == [8, 2, 8, 2]
    assert (outcome.epochs, outcome.delivered) == (20, 0.8)


def test_asha_in_two_slots_decides_by_who_comes_first() -> None:
    """Trial 0 is at its rungs first; 2 begins at 8 s, long after trial 1 was cut at 6 s and 3 began in its place."""
    epochs, outcome = run(Strategy("asha", ASHA), slots=2)
    assert epochs == [8, 2, 8, 2]
    # slot A: trial 0 to 8 s, trial 3 to 10 s; slot B: trial 1 to 6 s, trial 2 to 14 s
    assert outcome.seconds == 14


def test_ranked_by_the_current_value_an_early_peak_is_cut() -> None:
    epochs, _ = run(Strategy("asha", {**ASHA, "rank": "current"}))
    assert epochs == [8, 2, 4, 2]  # trial 2: 0.4 >= 0.2 at epoch 2, 0.1 < 0.5 at epoch 4


def test_the_guides_plateau_rule_ends_what_is_flat() -> None:
    rule = {"rule": "std", "metric": "train_seg_metrics/F1", "std": 0.01, "num_results": 3, "grace_period": 3}
    epochs, outcome = run(Strategy("plateau", None, rule))
    assert epochs == [8, 8, 5, 3]  # trial 2 is flat from epoch 3 on
    assert outcome.delivered == 0.9


def test_halving_resumes_the_best_half_of_a_batch() -> None:
    """Rungs 2, 4, then 8: of 0.3, 0.1, 0.5, 0.05 trials 2 and 0 go on; of 0.5 and 0.5 the first one, to the end."""
    epochs, outcome = run(Strategy("halving", HALVING, one_batch=True))
    assert epochs == [8, 2, 4, 2]
    assert (outcome.epochs, outcome.delivered, outcome.seconds) == (16, 0.8, 8 + 3 * 2 + 4 + 2)


def test_halving_in_batches_decides_within_each() -> None:
    """Batches (0, 1) and (2, 3); in each the better goes on to the end, alone."""
    epochs, outcome = run(Strategy("halving", HALVING))
    assert epochs == [8, 2, 8, 2]
    assert (outcome.epochs, outcome.delivered) == (20, 0.8)


def test_halving_waits_for_the_batch_but_not_with_idle_slots() -> None:
    """Two slots. 0 is at its rung after 2 s and waits for 1, which is there after 6 s; meanwhile 2 and 3 come in."""
    epochs, outcome = run(Strategy("halving", HALVING), slots=2)
    assert epochs == [8, 2, 8, 2]
    # slot A: 0 to 2 s, 2 to 4 s, 3 to 6 s; then 0 and 2 train their last 6 epochs side by side
    assert outcome.seconds == 12


def test_halving_by_signals_sees_the_losses_by_their_gains() -> None:
    """Equal F1; the second trains at twice the gain, so its loss of 1.5 is the lower one."""
    peers = [curve(0, FLAT, loss=1.0, box=5.0, cls=0.5), curve(1, FLAT, loss=1.5, box=10.0, cls=1.0)]
    study = study_of(Strategy("early", {**HALVING, "rank": "signals"}), peers)
    simulate(study, 1)
    assert [training.epoch for training in study.trainings] == [2, 8]


def test_asha_by_signals_keeps_the_later_trial_whose_losses_are_lower() -> None:
    """It has the worse F1, so that ASHA by the best F1 cuts it."""
    peers = [curve(0, GOOD, loss=2.0), curve(1, SLOW_START, loss=1.0)]
    for rank, expected in (("best", [8, 2]), ("signals", [8, 8])):
        study = study_of(Strategy("asha", {**ASHA, "rank": rank}), peers)
        simulate(study, 1)
        assert [training.epoch for training in study.trainings] == expected


def test_a_study_that_is_watched_ends_when_it_is_told_to() -> None:
    seen: list[tuple[int, int]] = []

    def watch(spent: int, curve: Curve, epoch: int) -> bool:
        seen.append((spent, epoch))
        return spent < 10

    study = study_of(RUN_ALL, CURVES)
    assert simulate(study, 1, watch).epochs == 10
    assert seen == [*((epoch, epoch) for epoch in range(1, 9)), (9, 1), (10, 2)]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_with_points_given_the_products_search_changes_nothing(strategy: Strategy) -> None:
    settings = strategy.settings(epochs=8, num_samples=len(CURVES))
    points = [curve.point for curve in CURVES[: settings.trials]]
    optimizer = Optimizer(settings, points)
    assert run(strategy, 2, optimizer) == run(strategy, 2, GivenPoints(points))
    assert all(trial.state.is_finished() for trial in optimizer.optuna_study.trials)


def test_comparisons_are_paired_by_seed() -> None:
    halving = Strategy("halving", HALVING)
    found = compare(table_study(CURVES, 4), [RUN_ALL, halving], seeds=5, slots=1)
    assert found["run all"].ratio.tolist() == [1] * 5 and found["run all"].loss.tolist() == [0] * 5
    assert found["halving"].ratio.tolist() == [32 / 20] * 5
    assert all(loss == pytest.approx(0) or loss == pytest.approx(0.1) for loss in found["halving"].loss)


def test_a_table_is_read_with_slept_epochs_capped(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    rows = [dict(row) for row in CURVES[0].rows]
    rows[3]["seconds"] = 1575.0
    with gzip.open(path, "wt") as file:
        told = {"number": 0, "point": CURVES[0].point, "epochs": rows}
        file.write(json.dumps({"epochs": 8}) + "\n" + json.dumps(told) + "\n")
    (read,) = read_table(path)[1]
    assert read.point == CURVES[0].point and read.best == 0.8
    assert [row["seconds"] for row in read.rows] == [1, 1, 1, 3, 1, 1, 1, 1]
    assert half_of(read.point) == half_of(dict(reversed(read.point.items())))


def test_the_surrogate_gives_back_what_it_was_fitted_to_and_the_search_runs_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Curves that rise as lr0 does; noise-free, so level is monotonic and residuals are small."""
    monkeypatch.setattr(Surrogate, "COMPONENTS", 2)
    draw = np.random.default_rng(0)
    curves = []
    for number in range(40):
        share = float(draw.uniform())
        values = [share * epoch / 8 for epoch in range(1, 9)]
        curves.append(curve(number, values, lr0=1e-5 * 2000**share))
    surrogate = Surrogate(curves, SPACE)
    assert surrogate.heaviest[0][0] == "lr0"
    assert surrogate.level({**DEFAULTS, "lr0": 1e-2}) > surrogate.level({**DEFAULTS, "lr0": 1e-4}) + 0.2
    source = surrogate.source(3)
    assert source(DEFAULTS) == source(DEFAULTS)
    outcome = surrogate_study(surrogate, 8, trials=6, search="tpe")(RUN_ALL, 0, 2)
    assert outcome.epochs == 48 and 0 < outcome.delivered <= 1


def test_the_script_is_run_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.jsonl.gz"
    curves = [curve(number, [value + number / 100 for value in values]) for number, values in enumerate(TABLE * 3)]
    with gzip.open(table, "wt") as file:
        lines = [{"epochs": 8}, *({"point": one.point, "epochs": one.rows} for one in curves)]
        file.write("\n".join(json.dumps(line) for line in lines))
    script = Path(__file__).parents[1] / "replay.py"
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(script.parents[1])])
    options = ["--seeds", "1", "--slots", "1", "2", "--drop", "1"]
    monkeypatch.setattr(sys, "argv", [str(script), "table", str(table), *options])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert said.startswith("12 curves of 8 epochs")
    assert all(said.count(f"| {strategy.name} |") == 4 for strategy in STRATEGIES), "two halves, slots, best left out"
    assert "Chosen on the first half: " in said
