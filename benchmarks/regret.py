"""Regret over budget: how good a point each way of searching delivers for how many epochs, on foretold trainings.

    python benchmarks/regret.py run TABLE OUT.jsonl [--half 0 1 --warm 0 1 --slots 1 --seeds 20 --budget 50 ...]
    python benchmarks/regret.py report OUT.jsonl ... [--picture docs/search-budget.png] [--against METHOD]

Trainings come from `surrogate.Surrogate`, fitted to one half of a table; `replay.py surrogate` prints how well it
foretells trainings it has not seen. The product's own searcher, ASHA, halving and plateau stopper run on it as in
`replay.py`, on a simulated clock, until the budget is spent. Peers: the guide's stack; `run_ray_tune` (multivariate
TPE, ASHA 10 epochs/3); Ultralytics' `Tuner`, whose own `_mutate` proposes. All search our space, so that only the ways
of searching differ.

Delivered is the checkpoint with the best F1 seen. Re-validated F1 is what the surrogate says of it without noise, at
its epoch; regret is the best that is known of the space minus that. `cold`: Ultralytics' defaults first (but for
`run_ray_tune`, which has no first point). `warm`: besides them the three best points of the table's other half.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from curves import F1, Curve, halves, read_table
from genetic import Genetic
from policies import Policy, Searches
from record_curves import points
from regret_report import paired, report
from replay import simulate
from strategies import RUN_ALL, STRATEGIES, Strategy
from surrogate import Surrogate
from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.schedulers.plateau import Endings
from yolotune.search.optimizer import OptunaSearcher

#: Trainings to the end that a budget is worth, at most.
BUDGET = 50
#: Points proposed by the other half of the table, warm.
WARM = 3
#: A small space.
FEW = ("lr0", "lrf", "momentum", "translate", "scale", "box")


@dataclass(frozen=True)
class Method:
    """A searcher and what stops its trials.

    Attributes:
        search: As `--search`, or `genetic`.
        rules: What stops trials.
        defaults: Whether Ultralytics' defaults are tried first.
        few: Whether only `FEW` hyperparameters vary, the others being as in the defaults.
        batches: Batches with which the defaults are tried again, right after the defaults.
    """

    search: str
    rules: Strategy
    defaults: bool = True
    few: bool = False
    batches: tuple[int, ...] = ()


def _rules(name: str) -> Strategy:
    return next(one for one in STRATEGIES if one.name == name)


OURS = _rules("ours: preset yolo11-seg, signals, ASHA 0.15/2")
HALVING = _rules("signals: halving, batches of 9, 0.1/3")
_SPACE = RUN_ALL.study().domains
METHODS = {
    "random, all in full": Method("random", RUN_ALL),
    "TPE, all in full": Method("tpe", RUN_ALL),
    "GP, all in full": Method("gp", RUN_ALL),
    "the guide's stack": Method("tpe", _rules("guide, all scaled: the plateau's grace too")),
    "run_ray_tune": Method("tpe-multivariate", _rules("Ultralytics: ASHA 10 epochs/3 current"), defaults=False),
    "genetic Tuner": Method("genetic", RUN_ALL),
    "ASHA, random": Method("random", OURS),
    "ASHA, TPE": Method("tpe", OURS),
    "ASHA, multivariate TPE": Method("tpe-multivariate", OURS),
    "ASHA, GP": Method("gp", OURS),
    "ASHA 0.1/3, GP": Method("gp", _rules("signals: ASHA 0.1/3")),
    "ASHA 1 epoch/3, GP": Method("gp", _rules("signals: ASHA 1 epoch/3")),
    "ASHA, TPE, defaults with two more batches": Method("tpe", OURS, batches=(8, 32)),
    "halving, TPE": Method("tpe", HALVING),
    "halving, GP": Method("gp", HALVING),
    "6 hyperparameters: TPE, all in full": Method("tpe", RUN_ALL, few=True),
    "6 hyperparameters: GP, all in full": Method("gp", RUN_ALL, few=True),
    "6 hyperparameters: ASHA, TPE": Method("tpe", OURS, few=True),
    "6 hyperparameters: ASHA, GP": Method("gp", OURS, few=True),
}


@dataclass(frozen=True)
class Ground:
    """What is searched: half a table, foretold between its points; cached, for fitting takes seconds.

    Attributes:
        surrogate: Foretells trainings.
        epochs: Of a training.
        warm: Points proposed to a warm start.
        best: The highest F1 of any epoch of 20,000 random points, without noise.
    """

    surrogate: Surrogate
    epochs: int
    warm: tuple[Point, ...]
    best: float

    @staticmethod
    @cache
    def of(table: Path, half: int) -> Ground:
        pools = halves(read_table(table)[1])
        best = sorted(pools[1 - half], key=lambda curve: -curve.best)[:WARM]
        surrogate = Surrogate(pools[half], _SPACE)
        known = surrogate.quiet(points(20_000, seed=1, nc=1)[0]).max()
        return Ground(surrogate, len(best[0].rows), tuple(curve.point for curve in best), float(known))


@dataclass(frozen=True)
class Searched:
    """A study that was run: its settings, its trials, and each checkpoint that was the best.

    Attributes:
        study: Settings.
        policy: Has the trials.
        trace: Epochs spent, F1 seen, point and its epoch.
    """

    study: Settings
    policy: Policy
    trace: list[tuple[int, float, Point, int]]


def _search(method: Method, ground: Ground, first: Sequence[Point], seed: int, slots: int, budget: float) -> Searched:
    """Runs one study until its budget is spent; `first` are points after the defaults."""
    most = int(budget * ground.epochs)
    given = {"preset": "none", "space": {name: str(_SPACE[name]) for name in FEW}} if method.few else {}
    study = method.rules.study(
        **given, epochs=ground.epochs, num_samples=most, seed=seed, search=method.search.replace("genetic", "random")
    )
    default = default_point(_SPACE, 1)[0]
    wanted = [default] * method.defaults + [{**default, "batch": batch} for batch in method.batches] + list(first)
    wanted = [{name: point[name] for name in study.domains} for point in wanted]
    train = ground.surrogate.source(seed)
    endings = Endings()
    searcher: Searches = (
        Genetic(study, wanted, seed) if method.search == "genetic" else OptunaSearcher(study, wanted, endings)
    )
    policy = method.rules.policy(study, searcher, endings, lambda point: train({**default, **point}))
    trace: list[tuple[int, float, Point, int]] = []

    def watch(spent: int, curve: Curve, epoch: int) -> bool:
        value = curve.rows[epoch - 1][F1]
        if not trace or value > trace[-1][1]:
            trace.append((spent, value, curve.point, epoch))
        return spent < most

    simulate(policy, slots, watch)
    return Searched(study, policy, trace)


def run(table: Path, half: int, name: str, warm: bool, seed: int, budget: float, slots: int = 1) -> dict[str, Any]:
    """Runs one study until its budget is spent.

    Returns:
        What was run and its `trace`: rows of epochs spent, best F1 seen, and re-validated F1 of that checkpoint, one
        for each checkpoint that was the best.
    """
    method, ground = METHODS[name], Ground.of(table, half)
    searched = _search(method, ground, ground.warm if warm else (), seed, slots, budget)
    trace = searched.trace
    quiet = ground.surrogate.quiet([point for _, _, point, _ in trace])
    rows = [
        (spent, round(value, 5), round(float(true[epoch - 1]), 5))
        for (spent, value, _, epoch), true in zip(trace, quiet, strict=True)
    ]
    about = {"method": name, "half": half, "warm": warm, "slots": slots, "seed": seed, "epochs": ground.epochs}
    about |= {"budget": budget, "known_best": round(ground.best, 5)}
    return {**about, "trials": len(searched.policy.trainings), "trace": rows}


def record(options: argparse.Namespace) -> None:
    """Runs all studies that the file does not hold yet, and appends them."""
    done = {_name(row) for row in _rows([options.out])} if options.out.exists() else set()
    jobs = [
        (options.table, half, name, warm, seed, options.budget, slots)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for half in options.half
        for warm in options.warm
        for slots in options.slots
        for name in options.methods or METHODS
        if (name, half, bool(warm), slots, seed) not in done
    ]
    with ProcessPoolExecutor(options.processes) as pool, options.out.open("a", encoding="utf-8") as file:
        for row in pool.map(run, *zip(*jobs, strict=True)) if jobs else ():
            print(json.dumps(row), file=file, flush=True)


def _tell(options: argparse.Namespace) -> None:
    rows = list(_rows(options.files))
    if options.against:
        paired(rows, options.against)
    else:
        report(rows, options.picture)


def _name(row: Mapping[str, Any]) -> tuple[str, int, bool, int, int]:
    return row["method"], row["half"], row["warm"], row["slots"], row["seed"]


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("table", type=Path)
    runs.add_argument("out", type=Path)
    runs.add_argument("--half", type=int, nargs="+", default=[0, 1])
    runs.add_argument("--warm", type=int, nargs="+", default=[0, 1])
    runs.add_argument("--slots", type=int, nargs="+", default=[1])
    runs.add_argument("--seeds", type=int, default=20)
    runs.add_argument("--first-seed", type=int, default=0)
    runs.add_argument("--budget", type=float, default=BUDGET, help="in trainings to the end")
    runs.add_argument("--methods", nargs="*", choices=METHODS)
    runs.add_argument("--processes", type=int, default=2)
    runs.set_defaults(do=record)
    reports = commands.add_parser("report")
    reports.add_argument("files", type=Path, nargs="+")
    reports.add_argument("--picture", type=Path)
    reports.add_argument("--against", choices=METHODS, help="paired tests of all others against this one instead")
    reports.set_defaults(do=_tell)
    options = parser.parse_args()
    options.do(options)


if __name__ == "__main__":
    main()
