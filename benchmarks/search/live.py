"""The same epochs of real training, spent in three ways: the guide's stack, `YOLO.tune(use_ray=True)`, yolotune.

    python -m benchmarks.search.live search --data path/to/data.yaml --model weights.pt --work runs/live --seeds 0 1 2
    python -m benchmarks.search.live confirm --work runs/live
    python -m benchmarks.search.live report --work runs/live

Each searches its own space, as it ships, in trainings of `--epochs` epochs, one at a time, until `--budget` epochs are
spent. Delivered is the point of the epoch with the best mask F1 that was seen in them, whatever a method decides by.
`confirm` trains each delivered point, and Ultralytics' defaults, in full on seeds that no search has used, all with the
same trainer. What is there already is not run again, and several processes may work in one folder.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.jobs import make_job
from benchmarks.peers import environment
from benchmarks.search.random_points import PRESET, random_points
from benchmarks.search.record_curves import record
from yolotune._yaml import read_yaml, write_yaml
from yolotune.config.layers import read_preset
from yolotune.config.points import default_point
from yolotune.config.space import parse_space
from yolotune.data.dataset import load_dataset
from yolotune.record.study import read_study
from yolotune.record.writer import write_json
from yolotune.workflows.paired import half_width, mean, spread

METHODS = {"guide": "the guide's stack", "raytune": "`run_ray_tune`", "yolotune": "yolotune"}
MODULES = {"guide": "benchmarks.peers.guide_search", "raytune": "benchmarks.peers.raytune_search"}
DEFAULTS = "defaults"
#: Seeds of confirming trainings; those of searches are small numbers.
FRESH = (1001, 1002, 1003)
#: What a point may say, in any of the three spaces; a training's `args.yaml` says all of it.
HYPERPARAMETERS = (
    "optimizer", "batch", "lr0", "lrf", "momentum", "weight_decay", "warmup_epochs", "warmup_momentum",
    "warmup_bias_lr", "box", "cls", "cls_pw", "dfl", "dropout", "hsv_h", "hsv_s", "hsv_v", "degrees", "translate",
    "scale", "shear", "perspective", "flipud", "fliplr", "bgr", "mosaic", "mixup", "cutmix", "copy_paste",
    "close_mosaic",
)  # fmt: skip


@dataclass
class Found:
    """What a search came to.

    Attributes:
        trials: Number of trials begun within the budget.
        epochs: Epochs trained, at most the budget.
        value: Best mask F1 that was seen, 0..1.
        arguments: The point it was seen of, all hyperparameters.
    """

    trials: int
    epochs: int
    value: float
    arguments: dict[str, Any]


def once(file: Path, make: Callable[[], Mapping[str, Any]]) -> None:
    """Makes a file of results, unless it is there or another process is about to."""
    with (file.with_suffix(".lock")).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not file.exists():
            write_json(file, make())
            print(f"{file.name}: {file.read_text()[:120]}", flush=True)


# --- searching -----------------------------------------------------------------------------------------------------


def search(method: str, seed: int, task: dict[str, Any], work: Path) -> dict[str, Any]:
    """Runs one search in a folder of its own, on one core, and returns what is `Found`."""
    folder = work / f"{method}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if method == "yolotune":
        command = ["yolotune", "run", str(_study_file(seed, task, folder))]
    else:
        file = folder / "task.json"
        file.write_text(json.dumps({**task, **_peers_task(method, seed, task), "seed": seed, "folder": str(folder)}))
        command = [MODULES[method], str(file)]
    one_core = {**environment(work, raytune=method == "raytune"), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("w") as log:
        subprocess.run([sys.executable, "-m", *command], stdout=log, stderr=log, check=True, env=one_core)
    read = _read_study if method == "yolotune" else _read_trainings
    return asdict(read(folder, task["budget"]))


def _study_file(seed: int, task: dict[str, Any], folder: Path) -> Path:
    given = {name: task[name] for name in ("data", "model", "epochs", "imgsz", "budget")}
    usual = {"project": str(folder), "concurrent": 1, "cpus": 1, "device": "cpu", "wandb": "offline"}
    write_yaml(folder / "study.yaml", {**given, **usual, "seed": seed}, "One search of benchmarks/search/live.py")
    return folder / "study.yaml"


def _peers_task(method: str, seed: int, task: dict[str, Any]) -> dict[str, Any]:
    """Returns what a peer's script wants to know beside the task; the guide's three first points vary the batch."""
    fixed = {"imgsz": task["imgsz"], "seed": seed}
    if method == "raytune":
        return {"fixed": fixed}
    space = read_preset("guide")["space"]
    parsed = parse_space(space, "space")[0]
    first = default_point(parsed, load_dataset(task["data"]).nc)[0]
    return {"fixed": fixed, "space": space, "points": [{**first, "batch": batch} for batch in (16, 32, 64)]}


def _read_trainings(folder: Path, budget: int) -> Found:
    """Reads what Ultralytics has left of trainings, in the order in which they began."""
    files = sorted(folder.rglob("args.yaml"), key=lambda file: file.stat().st_mtime)
    found = Found(0, 0, -1.0, {})
    for file in files:
        table = file.with_name("results.csv")
        if not table.exists():
            continue
        with table.open() as lines:
            rows = [{name.strip(): value for name, value in row.items()} for row in csv.DictReader(lines)]
        scores = [_f1(float(row["metrics/precision(M)"]), float(row["metrics/recall(M)"])) for row in rows]
        _add(found, scores[: budget - found.epochs], read_yaml(file))
    return found


def _read_study(folder: Path, budget: int) -> Found:
    """Reads a study's epochs, and the arguments of the training that it proposes in its end."""
    found = Found(0, 0, -1.0, {})
    arguments = read_yaml(folder / "study" / "best.yaml")
    for trial in read_study(folder / "study").trials:
        _add(found, [row["seg_metrics/F1"] for row in trial.epochs], arguments)
    if found.epochs > budget:
        raise SystemExit(f"{folder}: {found.epochs} epochs trained, {budget} allowed.")
    return found


def _add(found: Found, scores: list[float], arguments: dict[str, Any]) -> None:
    if not scores:
        return
    found.trials += 1
    found.epochs += len(scores)
    if max(scores) > found.value:
        found.value = max(scores)
        found.arguments = {name: arguments[name] for name in HYPERPARAMETERS if name in arguments}


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# --- confirming ----------------------------------------------------------------------------------------------------


def confirm(arguments: dict[str, Any], seed: int, task: dict[str, Any], work: Path, name: str) -> dict[str, Any]:
    """Trains a point in full, on a fresh seed; returns the mask F1 of its best epoch."""
    folder = work / f"confirm-{name}-{seed}"
    folder.mkdir(exist_ok=True)
    fixed = {**arguments, "imgsz": task["imgsz"], "seed": seed, "plots": False}
    job = make_job(task["data"], task["model"], folder, train_subset=False, epochs=task["epochs"], fixed=fixed)
    record(job, 0, {}, folder)
    rows = json.loads((folder / "0000.json").read_text())["epochs"]
    return {"value": max(row["seg_metrics/F1"] for row in rows), "epochs": len(rows)}


def points_to_confirm(work: Path, task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns arguments by name: those that searches delivered, and Ultralytics' defaults."""
    defaults = random_points(1, 0, load_dataset(task["data"]).nc)[0]
    fixed = read_preset(PRESET)["train"]
    fixed["close_mosaic"] = max(1, round(fixed["close_mosaic"] * task["epochs"]))
    delivered = {file.stem.removeprefix("search-"): json.loads(file.read_text()) for file in work.glob("search-*.json")}
    return {DEFAULTS: {**fixed, **defaults}, **{name: one["arguments"] for name, one in sorted(delivered.items())}}


# --- reporting -----------------------------------------------------------------------------------------------------


def report(work: Path) -> str:
    """Returns the searches, then the methods, as Markdown."""
    confirmed: dict[str, list[float]] = {}
    for file in sorted(work.glob("fresh-*.json")):
        name = file.stem.removeprefix("fresh-").rpartition("-")[0]
        confirmed.setdefault(name, []).append(json.loads(file.read_text())["value"])
    return "\n".join([*_searches(confirmed, work), "", *_methods(confirmed)])


def _searches(confirmed: Mapping[str, Sequence[float]], work: Path) -> Iterator[str]:
    """Yields the table of the searches and of what they deliver."""
    yield "| search | trials | epochs | best F1 seen | F1 on fresh seeds | mean |"
    yield "|---|---:|---:|---:|---|---:|"
    for name, values in sorted(confirmed.items(), key=lambda item: item[0] != DEFAULTS):
        shown = ", ".join(f"{value:.3f}" for value in values)
        about = "Ultralytics' defaults | | |"
        if name != DEFAULTS:
            method, _, seed = name.partition("-")
            told = json.loads((work / f"search-{name}.json").read_text())
            about = f"{METHODS[method]}, seed {seed} | {told['trials']} | {told['epochs']} | {told['value']:.3f}"
        yield f"| {about} | {shown} | {mean(values) or 0:.3f} |"


def _methods(confirmed: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yields the table of the methods, each the mean of its searches."""
    yield "| method | mean | spread | to the defaults | yolotune - it, 90 % |"
    yield "|---|---:|---:|---:|---:|"
    levels: dict[str, list[float]] = {}
    for name, values in confirmed.items():
        levels.setdefault(name.partition("-")[0], []).append(mean(values) or 0.0)
    (defaults,) = levels.pop(DEFAULTS)
    for method, found in levels.items():
        differences = [ours - theirs for ours, theirs in zip(levels["yolotune"], found, strict=True)]
        level = mean(found) or 0.0
        ahead = "" if method == "yolotune" else f"{mean(differences):+.3f} ± {half_width(differences) or 0:.3f}"
        yield f"| {METHODS[method]} | {level:.3f} | {spread(found) or 0:.3f} | {level - defaults:+.3f} | {ahead} |"


def run_searches(options: argparse.Namespace, work: Path) -> None:
    """Runs the searches that are not there yet, method by method for each seed."""
    task = {"data": str(Path(options.data).resolve()), "model": str(Path(options.model).resolve())}
    task |= {"epochs": options.epochs, "budget": options.budget, "imgsz": options.imgsz}
    write_json(work / "task.json", task)
    for seed in options.seeds:
        for method in options.methods:
            once(work / f"search-{method}-{seed}.json", partial(search, method, seed, task, work))


def run_confirmations(work: Path) -> None:
    """Trains what the searches delivered, and the defaults, on fresh seeds."""
    task = json.loads((work / "task.json").read_text())
    for name, arguments in points_to_confirm(work, task).items():
        for seed in FRESH:
            file = work / f"fresh-{name}-{seed}.json"
            once(file, partial(confirm, arguments, seed, task, work, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("search", "confirm", "report"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data")
    parser.add_argument("--model")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--imgsz", type=int, default=64)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if options.command == "search":
        run_searches(options, work)
    elif options.command == "confirm":
        run_confirmations(work)
    else:
        print(report(work))


if __name__ == "__main__":
    main()
