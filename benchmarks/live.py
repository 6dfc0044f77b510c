"""The same epochs of real training, spent in three ways: the guide's stack, `YOLO.tune(use_ray=True)`, yolotune.

    python benchmarks/live.py search --data path/to/data.yaml --model weights.pt --work runs/live --seeds 0 1 2
    python benchmarks/live.py confirm --work runs/live
    python benchmarks/live.py report --work runs/live

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
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overhead import settings_folder
from record_curves import points as first_points
from record_curves import record
from yolotune._yaml import read_yaml, write_yaml
from yolotune.config.points import default_point
from yolotune.config.settings import read_preset
from yolotune.config.space import parse_space
from yolotune.data.dataset import build_index, load_dataset, write_resolved
from yolotune.record.study import read_study
from yolotune.record.writer import write_json
from yolotune.training.job import Job, isolate
from yolotune.workflows.paired import half_width, mean, spread

METHODS = {"guide": "the guide's stack", "raytune": "`run_ray_tune`", "yolotune": "yolotune"}
MODULES = {"guide": "peers.guide_search", "raytune": "peers.raytune_search"}
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


def once(file: Path, make: Callable[[], dict[str, Any]]) -> None:
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


def search(method: str, seed: int, task: dict[str, Any], work: Path) -> Found:
    """Runs one search in a folder of its own, on one core."""
    folder = work / f"{method}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if method == "yolotune":
        command = ["yolotune", "run", str(_study_file(seed, task, folder))]
    else:
        file = folder / "task.json"
        file.write_text(json.dumps({**task, **_peers_task(method, seed, task), "seed": seed, "folder": str(folder)}))
        command = [MODULES[method], str(file)]
    here = str(Path(__file__).parent)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "YOLO_OFFLINE": "1",
        "YOLO_CONFIG_DIR": str(settings_folder(work, raytune=method == "raytune")),
        "WANDB_MODE": "offline",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    }
    with (folder / "log.txt").open("w") as log:
        subprocess.run([sys.executable, "-m", *command], stdout=log, stderr=log, check=True, env=environment)
    read = _read_study if method == "yolotune" else _read_trainings
    return read(folder, task["budget"])


def _study_file(seed: int, task: dict[str, Any], folder: Path) -> Path:
    given = {name: task[name] for name in ("data", "model", "epochs", "imgsz", "budget")}
    usual = {"project": str(folder), "concurrent": 1, "cpus": 1, "device": "cpu", "wandb": "offline"}
    write_yaml(folder / "study.yaml", {**given, **usual, "seed": seed}, "One search of benchmarks/live.py")
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
    isolate()
    folder = work / f"confirm-{name}-{seed}"
    folder.mkdir(exist_ok=True)
    dataset = load_dataset(task["data"])
    job = Job(
        model=task["model"],
        data=write_resolved(dataset, folder),
        epochs=task["epochs"],
        fixed={**arguments, "imgsz": task["imgsz"], "seed": seed, "plots": False},
        indexes={split: build_index(dataset, split, folder) for split in ("train", "val")},
        device="cpu",
        threads=1,
    )
    record(job, 0, {}, folder)
    rows = json.loads((folder / "0000.json").read_text())["epochs"]
    return {"value": max(row["seg_metrics/F1"] for row in rows), "epochs": len(rows)}


def points_to_confirm(work: Path, task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns arguments by name: those that searches delivered, and Ultralytics' defaults."""
    found, fixed = first_points(1, 0, load_dataset(task["data"]).nc)
    fixed["close_mosaic"] = max(1, round(fixed["close_mosaic"] * task["epochs"]))
    delivered = {file.stem.removeprefix("search-"): json.loads(file.read_text()) for file in work.glob("search-*.json")}
    return {DEFAULTS: {**fixed, **found[0]}, **{name: one["arguments"] for name, one in sorted(delivered.items())}}


# --- reporting -----------------------------------------------------------------------------------------------------


def report(work: Path) -> str:
    """Returns the searches, then the methods, as Markdown."""
    confirmed: dict[str, list[float]] = {}
    for file in sorted(work.glob("fresh-*.json")):
        name = file.stem.removeprefix("fresh-").rpartition("-")[0]
        confirmed.setdefault(name, []).append(json.loads(file.read_text())["value"])
    defaults = mean(confirmed[DEFAULTS]) or 0.0
    lines = ["| search | trials | epochs | best F1 seen | F1 on fresh seeds | mean |", "|---|---:|---:|---:|---|---:|"]
    levels: dict[str, list[float]] = {}
    for name, values in confirmed.items():
        level = mean(values) or 0.0
        shown = ", ".join(f"{value:.3f}" for value in values)
        if name == DEFAULTS:
            lines.insert(2, f"| Ultralytics' defaults | | | | {shown} | {level:.3f} |")
            continue
        method, _, seed = name.partition("-")
        told = json.loads((work / f"search-{name}.json").read_text())
        levels.setdefault(method, []).append(level)
        counts = f"{told['trials']} | {told['epochs']} | {told['value']:.3f}"
        lines.append(f"| {METHODS[method]}, seed {seed} | {counts} | {shown} | {level:.3f} |")
    lines += ["", "| method | mean | spread | to the defaults | yolotune - it, 90 % |", "|---|---:|---:|---:|---:|"]
    for method, found in levels.items():
        differences = [ours - theirs for ours, theirs in zip(levels["yolotune"], found, strict=True)]
        level = mean(found) or 0.0
        ahead = "" if method == "yolotune" else f"{mean(differences):+.3f} ± {half_width(differences) or 0:.3f}"
        lines.append(
            f"| {METHODS[method]} | {level:.3f} | {spread(found) or 0:.3f} | {level - defaults:+.3f} | {ahead} |"
        )
    return "\n".join(lines)


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
    if options.command == "report":
        return print(report(work))
    if options.command == "search":
        data, model = Path(options.data).resolve(), Path(options.model).resolve()
        task = {"data": str(data), "model": str(model)}
        task |= {"epochs": options.epochs, "budget": options.budget, "imgsz": options.imgsz}
        write_json(work / "task.json", task)
        for seed in options.seeds:
            for method in options.methods:
                once(work / f"search-{method}-{seed}.json", lambda m=method, s=seed: asdict(search(m, s, task, work)))
        return None
    task = json.loads((work / "task.json").read_text())
    for name, arguments in points_to_confirm(work, task).items():
        for seed in FRESH:
            file = work / f"fresh-{name}-{seed}.json"
            once(file, lambda n=name, a=arguments, s=seed: confirm(a, s, task, work, n))
    return None


if __name__ == "__main__":
    main()
