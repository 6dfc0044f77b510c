"""What a trial costs beside its training: the same points trained by yolotune and by its peers, side by side.

    python -m benchmarks.cost.overhead measure --out runs/overhead.jsonl --peers a e --rounds 3
    python -m benchmarks.cost.overhead measure --out ... --data path/to/data.yaml --model weights.pt --slots 1 2 4
    python -m benchmarks.cost.overhead table runs/overhead.jsonl

Peers: (a) bare Ultralytics trainings one after another in one process, the floor; (b) the guide's script written
plainly; (c) `YOLO.tune(use_ray=True)`; (d) Ultralytics' own `Tuner`; (e) `yolotune run`. (a), (c) and (d) compute no
train-split metrics, draw no curves and track nothing; (b) and (e) do, with W&B offline. All train the same points for
the same epochs on the same images, without early stopping; the default data is the demo's. The peers take turns. How
the costs are counted stands in `meter.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost import meter
from benchmarks.peers import environment
from yolotune._yaml import write_yaml
from yolotune.config.layers import make_settings, read_preset
from yolotune.config.points import default_point
from yolotune.config.space import parse_space
from yolotune.data.dataset import load_dataset
from yolotune.workflows.demo import SPACE, demo_settings

PEERS = {
    "a": "bare trainings",
    "b": "the guide's script",
    "c": "YOLO.tune(use_ray=True)",
    "d": "Ultralytics' Tuner",
    "e": "yolotune run",
}
MODULES = {"a": "bare", "b": "guide", "c": "raytune", "d": "native"}
#: Those that can train several points at a time.
PARALLEL = ("b", "c", "e")


def make_task(options: argparse.Namespace) -> dict[str, Any]:
    """Returns what all peers train: the defaults first, then points with other rates and batches."""
    if options.data:
        preset = read_preset("yolo11-seg")
        space, fixed = preset["space"], preset["train"]
        data, model = str(Path(options.data).resolve()), str(options.model)
        fixed = {**fixed, "close_mosaic": max(1, round(0.1 * options.epochs))}
        model = str(Path(model).resolve()) if Path(model).exists() else model
    else:
        demo = demo_settings(options.work / "demo")
        fixed = demo.model_copy(update={"epochs": options.epochs}).fixed
        space, data, model = {**SPACE}, demo.data, demo.model
    # the default `auto` ignores lr0, and a Tuner knows numbers only
    fixed = {**fixed, "imgsz": options.imgsz, "seed": 0, "optimizer": "AdamW"}
    space = {name: text for name, text in space.items() if name != "optimizer"}
    first = default_point(parse_space(space, "space")[0], load_dataset(data).nc)[0]
    points = [
        {**first, "lr0": round(float(first["lr0"]) * 1.3**k, 6), "batch": (16, 8)[k % 2]} for k in range(options.trials)
    ]
    points[0] = first
    task = {"data": data, "model": model, "epochs": options.epochs, "fixed": fixed, "points": points, "space": space}
    return {**task, "cpus": options.cpus, "device": options.device}


def run_peer(peer: str, task: dict[str, Any], slots: int | str, work: Path) -> meter.Cost:
    """Runs one peer in a folder of its own and returns what it cost."""
    folder = work / f"{peer}-{slots}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for cache in Path(task["data"]).parent.rglob("*.cache"):
        cache.unlink()  # written by Ultralytics; each peer begins with none
    if peer == "e":
        file = folder / "study.yaml"
        write_yaml(file, study_file(task, slots, folder), "One run of benchmarks/cost/overhead.py")
        command = [sys.executable, "-m", "yolotune", "run", str(file)]
    else:
        file = folder / "task.json"
        file.write_text(json.dumps({**task, "slots": slots, "folder": str(folder)}))
        command = [sys.executable, "-m", f"benchmarks.peers.{MODULES[peer]}", str(file)]
    return meter.measure(command, folder / "log.txt", environment(work, raytune=peer == "c"), folder)


def study_file(task: dict[str, Any], slots: int | str, folder: Path) -> dict[str, Any]:
    """Returns the study that trains the task's points: everything on but what would end a trial early."""
    fixed = {name: value for name, value in task["fixed"].items() if name not in ("imgsz", "seed")}
    return {
        "data": task["data"],
        "model": task["model"],
        "project": str(folder),
        "epochs": task["epochs"],
        "imgsz": task["fixed"]["imgsz"],
        "num_samples": len(task["points"]),
        "concurrent": slots,
        "cpus": max(1 if slots == "auto" else int(slots), task["cpus"] or os.cpu_count() or 1),
        "device": task["device"],
        "wandb": "offline",
        "space": task["space"],
        "points": task["points"][1:],
        "train": fixed,
        "scheduler": "none",
        "plateau": None,
    }


def epochs_trained(peer: str, folder: Path) -> int:
    """Returns how many epochs a peer has trained, from the files it left."""
    files = folder.glob("study/trials/*/epochs.jsonl") if peer == "e" else folder.rglob("results.csv")
    if peer == "d":
        return sum(1 for line in (folder / "tune" / "tune_results.ndjson").open() if line.strip())
    return sum(len(file.read_text().splitlines()) - (peer != "e") for file in files)


def measure(options: argparse.Namespace) -> None:
    options.work = options.work.resolve()
    task = make_task(options)
    make_settings(**study_file(task, 1, options.work))  # wrong options are found before the first training
    about = {
        "data": Path(task["data"]).parent.name,
        "imgsz": options.imgsz,
        "epochs": options.epochs,
        "trials": options.trials,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "device": options.device,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(options.rounds):
        for slots in options.slots:
            for peer in options.peers:
                if (slots == "auto" and peer != "e") or (slots != 1 and peer not in PARALLEL):
                    continue
                cost = run_peer(peer, task, slots, options.work)
                folder = options.work / f"{peer}-{slots}"
                row = {**about, "peer": peer, "slots": slots, "label": options.label, "at": time.strftime("%F %T")}
                row |= dataclasses.asdict(cost) | {"found": epochs_trained(peer, folder)}
                with options.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{peer} x{slots}: {cost.wall:.1f} s wall, {cost.cpu:.1f} s CPU, exit {cost.code}", flush=True)
                if cost.code:
                    raise SystemExit(f"{PEERS[peer]} failed: see {folder / 'log.txt'}")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns medians by data, slots and peer as Markdown, with the wall time against the floor of the same data."""
    head = "| data | slots | peer | wall, s (range) | wall / (a) | CPU, s | epochs a minute | CPU per epoch, s | "
    lines = [head + "memory, MB | read, MB | written, MB | to disk, MB | runs |", "|---|---:|---|" + "---:|" * 10]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        data = f"{row['data']}, {row['imgsz']} px, {row['trials']} x {row['epochs']} epochs"
        groups.setdefault((data, row["slots"], row["peer"], row["label"]), []).append(row)
    for (data, slots, peer, label), group in sorted(groups.items(), key=str):
        floor = [row["wall"] for key, rows in groups.items() if key[0] == data and key[2] == "a" for row in rows]
        epochs = group[0]["trials"] * group[0]["epochs"]
        middle = {name: statistics.median(row[name] for row in group) for name in ("wall", "cpu", "memory")}
        sizes = (statistics.median(row[name] for row in group) / 2**20 for name in ("read", "written", "disk"))
        walls = [row["wall"] for row in group]
        ratio = f"{middle['wall'] / statistics.median(floor):.2f}" if floor else ""
        cells: list[Any] = [
            data,
            slots,
            f"({peer}) {PEERS[peer]}{', ' + label if label else ''}",
            f"{middle['wall']:.1f} ({min(walls):.1f} to {max(walls):.1f})",
            ratio,
            f"{middle['cpu']:.1f}",
            f"{60 * epochs / middle['wall']:.1f}",
            f"{middle['cpu'] / epochs:.2f}",
            f"{middle['memory'] / 2**20:.0f}",
            *(f"{size:.0f}" for size in sizes),
            len(group),
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _slots(given: str) -> int | str:
    return given if given == "auto" else int(given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("measure")
    runner.add_argument("--out", type=Path, required=True, help="results are added to this file, one line a run")
    runner.add_argument("--work", type=Path, default=Path("runs/overhead"))
    runner.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    runner.add_argument("--slots", nargs="+", type=_slots, default=[1], help="trials at a time; auto is for (e) alone")
    runner.add_argument("--data", help="data.yaml; the demo's shapes if not given")
    runner.add_argument("--model", default="yolo11n-seg.yaml")
    runner.add_argument("--trials", type=int, default=3)
    runner.add_argument("--epochs", type=int, default=20)
    runner.add_argument("--imgsz", type=int, default=64)
    runner.add_argument("--rounds", type=int, default=1)
    runner.add_argument("--cpus", type=int, help="cores that (e) shares out; all if not given")
    runner.add_argument("--device", default="cpu", help="cpu, or a card such as 0")
    runner.add_argument("--label", default="", help="what is different about this run, for the table")
    printer = commands.add_parser("table")
    printer.add_argument("file", type=Path)
    options = parser.parse_args()
    if options.command == "table":
        return print(table([json.loads(line) for line in options.file.read_text().splitlines()]))
    measure(options)


if __name__ == "__main__":
    main()
