"""A real study on real photographs: how many trials, how they ended, the best against Ultralytics' defaults.

    python -m benchmarks.search.real_study --data path/to/person-crops-160/data.yaml --model path/to/weights.pt

Prints the table for RESULTS.md. With --folder it reports on a study that has ended.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yolotune
from yolotune.record.study import StudyRecord, read_study


def table(record: StudyRecord) -> str:
    """Returns the trials of a study and its outcome as Markdown."""
    lines = ["| trial | verdict | epochs | best epoch | F1(M) | why |", "|---:|---|---:|---:|---:|---|"]
    for trial in record.trials:
        ending = trial.ending
        why = ending.reason.replace("seg_metrics/", "") if ending else ""
        value = "" if trial.value is None else f"{trial.value:.4f}"
        lines.append(
            f"| {trial.number} | {trial.verdict} | {len(trial.epochs)} | {trial.best_epoch} | {value} | {why} |"
        )
    best, first = record.best, record.trials[0]
    full = len(record.trials) * record.settings.epochs
    lines += ["", f"Epochs trained: {record.epochs_trained} of the {full} that all trials in full would take."]
    if best is not None and best.value is not None and first.value is not None:
        gain = best.value - first.value
        lines.append(f"Best: trial {best.number}, {best.value:.4f}; trial 0 (defaults) {first.value:.4f}; {gain:+.4f}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--model")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--num-samples", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    folder = options.folder
    if folder is None:
        folder = yolotune.tune(
            options.data,
            model=options.model,
            name="person-crops",
            num_samples=options.num_samples,
            epochs=options.epochs,
            imgsz=96,
            concurrent=2,
        ).folder
    record = read_study(folder)
    about = json.loads((record.folder / "environment.json").read_text())
    print(f"{about['started'][:10]}, {about['machine']}, {about['versions']['ultralytics']=}, data {about['dataset']}")
    print(table(record))


if __name__ == "__main__":
    main()
