"""What a study takes before its first trial and after its last: seconds of the whole command, run several times.

    python -m benchmarks.cost.startup --data path/to/data.yaml --model weights.pt
    python -m benchmarks.cost.startup --data ... --model ... --code before=../before/src after=src

Each run is `yolotune run` with two trials of two epochs and W&B offline, photographs included. What the files of the
study say of when they were written is set against the clock of the command. `--code` names checkouts that take turns.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

PARTS = (
    "command to first trial's start",
    "command to first trial's first batch",
    "last verdict to exit",
    "last trial's good order to exit",
    "whole command",
)
_FIRST_BATCH = re.compile(r"^Starting training for .*\n(\S+ \S+) INFO", re.MULTILINE)


def measure(options: argparse.Namespace, code: Path, folder: Path) -> list[float]:
    """Runs the command once with the package of a checkout, and returns the seconds of `PARTS`."""
    command = [sys.executable, "-m", "yolotune", "run", "--data", str(options.data), "--model", str(options.model)]
    command += ["--epochs", "2", "--num-samples", "2", "--scheduler", "none", "--wandb", "offline"]
    command += ["--imgsz", str(options.imgsz), "--storage", str(folder), "--name", "study"]
    began = time.time()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, check=False
    )
    ended = time.time()
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    (first, last) = sorted(path.parent for path in folder.rglob("point.yaml"))
    began_training = _FIRST_BATCH.search((first / "train.log").read_text())
    if began_training is None:
        raise SystemExit(f"{first / 'train.log'} does not say when the training began")
    return [
        written(first / "point.yaml") - began,
        datetime.strptime(began_training[1], "%Y-%m-%d %H:%M:%S,%f").timestamp() - began,
        ended - written(last / "verdict.yaml"),
        ended - written(last / "ended.yaml"),
        ended - began,
    ]


def written(path: Path) -> float:
    """Returns when a file was written, in seconds since the epoch."""
    return path.stat().st_mtime


def table(found: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Returns median and least seconds of each part, by checkout."""
    lines = ["| part, s: median (least) | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for place, part in enumerate(PARTS):
        columns = [[run[place] for run in runs] for runs in found.values()]
        cells = [f"{statistics.median(column):.1f} ({min(column):.1f})" for column in columns]
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def checkout(text: str) -> tuple[str, Path]:
    """Returns name and folder of `name=folder`."""
    name, _, folder = text.partition("=")
    if not (Path(folder) / "yolotune").is_dir():
        raise argparse.ArgumentTypeError(f"{folder} holds no package yolotune")
    return name, Path(folder).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data.yaml")
    parser.add_argument("--model", type=Path, required=True, help="weights")
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", type=checkout, nargs="+", metavar="NAME=FOLDER", default=[checkout("here=src")])
    options = parser.parse_args()
    options.data, options.model = options.data.resolve(), options.model.resolve()
    found: dict[str, list[list[float]]] = {name: [] for name, _ in options.code}
    for _ in range(options.rounds):
        for name, code in options.code:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(measure(options, code, Path(folder)))
            print(f"{name}: " + ", ".join(f"{seconds:.1f}" for seconds in found[name][-1]), file=sys.stderr, flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
