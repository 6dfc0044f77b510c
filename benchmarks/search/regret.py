"""Regret over budget: how good a point each way of searching delivers for how many epochs, on foretold trainings.

    python -m benchmarks.search.regret run TABLE OUT.jsonl [--half 0 1 --warm 0 1 --slots 1 --seeds 20 --budget 50]
    python -m benchmarks.search.regret report OUT.jsonl ... [--picture docs/search-budget.png] [--against METHOD]

Trainings come from `surrogate.Surrogate`, fitted to one half of a table; `replay.py surrogate` prints how well it
foretells trainings it has not seen. The product's own search and schedulers run on it as in `replay.py`, on a simulated
clock, until the budget is spent. Peers: the guide's stack; `run_ray_tune` (multivariate TPE, ASHA 10 epochs/3);
Ultralytics' `Tuner`, whose own `_mutate` proposes. All search our space, so that only the ways of searching differ.

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

from benchmarks.search.curves import F1, Curve, halves, read_table
from benchmarks.search.genetic import Genetic
from benchmarks.search.random_points import random_points
from benchmarks.search.regret_report import paired, report
from benchmarks.search.simulation import Search, SimulatedStudy, simulate
from benchmarks.search.strategies import RUN_ALL, STRATEGIES, Strategy
from benchmarks.search.surrogate import Surrogate
from yolotune.config.points import default_point
from yolotune.config.space import Point
from yolotune.search.optimizer import Optimizer

#: Trainings to the end that a budget is worth, at most.
BUDGET = 50
#: Points proposed by the other half of the table, warm.
WARM = 3
#: Random points among which the best that is known is looked for.
KNOWN = 20_000
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
_SPACE = RUN_ALL.settings().domains
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
        best: The highest F1 of any epoch of `KNOWN` random points, without noise.
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
        known = surrogate.quiet(random_points(KNOWN, seed=1, nc=1)).max()
        return Ground(surrogate, len(best[0].rows), tuple(curve.point for curve in best), float(known))


#: Each checkpoint that was the best of a study: epochs spent, F1 seen, point and its epoch.
Trace = list[tuple[int, float, Point, int]]


def search(method: Method, ground: Ground, *, warm: bool, seed: int, slots: int, budget: float) -> tuple[int, Trace]:
    """Runs one study until its budget is spent, and returns its number of trials and its trace."""
    most = int(budget * ground.epochs)
    given = {"preset": "none", "space": {name: str(_SPACE[name]) for name in FEW}} if method.few else {}
    settings = method.rules.settings(
        **given, epochs=ground.epochs, num_samples=most, seed=seed, search=method.search.replace("genetic", "random")
    )
    default = default_point(_SPACE, 1)[0]
    points = [default] * method.defaults + [{**default, "batch": batch} for batch in method.batches]
    points = [{name: point[name] for name in settings.domains} for point in [*points, *(ground.warm if warm else ())]]
    proposes: Search = Genetic(settings, points, seed) if method.search == "genetic" else Optimizer(settings, points)
    train = ground.surrogate.source(seed)
    study = SimulatedStudy(settings, proposes, lambda point: train({**default, **point}))
    trace: Trace = []

    def watch(spent: int, curve: Curve, epoch: int) -> bool:
        value = curve.rows[epoch - 1][F1]
        if not trace or value > trace[-1][1]:
            trace.append((spent, value, curve.point, epoch))
        return spent < most

    simulate(study, slots, watch)
    return len(study.trainings), trace


def run(table: Path, half: int, name: str, warm: bool, seed: int, budget: float, slots: int = 1) -> dict[str, Any]:
    """Runs one study until its budget is spent.

    Returns:
        What was run and its `trace`: rows of epochs spent, best F1 seen, and re-validated F1 of that checkpoint, one
        for each checkpoint that was the best.
    """
    ground = Ground.of(table, half)
    trials, trace = search(METHODS[name], ground, warm=warm, seed=seed, slots=slots, budget=budget)
    quiet = ground.surrogate.quiet([point for _, _, point, _ in trace])
    rows = [
        (spent, round(value, 5), round(float(true[epoch - 1]), 5))
        for (spent, value, _, epoch), true in zip(trace, quiet, strict=True)
    ]
    about = {"method": name, "half": half, "warm": warm, "slots": slots, "seed": seed, "epochs": ground.epochs}
    about |= {"budget": budget, "known_best": round(ground.best, 5)}
    return {**about, "trials": trials, "trace": rows}


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
