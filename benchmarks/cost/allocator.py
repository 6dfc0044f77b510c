"""How long a step of a training takes where glibc keeps what is freed, beside glibc as it is, on this CPU.

    python -m benchmarks.cost.allocator --model weights.pt

Each in processes of their own, in turn: forward, loss, backward and SGD with channels last, on made images and one
thread. Prints medians, page faults of a step and the peak of memory as Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
from typing import Any

from benchmarks.cost.layout import made_batch, step, trained_model
from yolotune.config.isolation import isolate
from yolotune.training.memory import keep_freed_memory

#: Pixels and images of a batch.
SHAPES = ((96, 8), (160, 8), (160, 16), (320, 8), (640, 4))
STEPS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo11n-seg.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # in a process of its own: kept or not, px, images
    options = parser.parse_args()
    if options.one:
        one(options.model, kept=options.one[0] == "kept", imgsz=int(options.one[1]), images=int(options.one[2]))
        return
    print("| px | batch | glibc, ms | kept, ms | ratio | page faults | kept | peak, MB | kept |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for imgsz, images in SHAPES:
        ways: dict[str, list[list[float]]] = {"glibc": [], "kept": []}
        for _ in range(options.rounds):
            for way, found in ways.items():
                command = [sys.executable, "-m", "benchmarks.cost.allocator", "--model", options.model]
                command += ["--one", way, str(imgsz), str(images)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
        own, kept = ([statistics.median(column) for column in zip(*found, strict=True)] for found in ways.values())
        print(
            f"| {imgsz} | {images} | {own[0]:.1f} | {kept[0]:.1f} | {kept[0] / own[0]:.2f} "
            f"| {own[1]:.0f} | {kept[1]:.0f} | {own[2]:.0f} | {kept[2]:.0f} |",
            flush=True,
        )


def one(weights: str, *, kept: bool, imgsz: int, images: int) -> None:
    """Trains on a made batch in a thread, as trials do; prints a step's milliseconds, its page faults and the peak."""
    isolate()
    import torch

    if kept:
        keep_freed_memory()
    torch.set_num_threads(1)
    found: list[float] = []

    def train() -> None:
        model: Any = trained_model(weights).to(memory_format=torch.channels_last)
        optimizer, batch = torch.optim.SGD(model.parameters(), 1e-6), made_batch(imgsz, images)
        for _ in range(5):
            step(model, optimizer, batch)
        before = resource.getrusage(resource.RUSAGE_SELF)
        seconds = [step(model, optimizer, batch) for _ in range(STEPS)]
        after = resource.getrusage(resource.RUSAGE_SELF)
        faults = (after.ru_minflt - before.ru_minflt) / STEPS
        found.extend([1000 * statistics.median(seconds), faults, after.ru_maxrss / 1024])

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
