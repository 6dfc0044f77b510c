"""What it costs when OpenMP's threads wait by spinning on cores that others use too.

    python benchmarks/openmp_wait.py

Trains YOLO11n-seg on made shapes with as many threads as cores, beside one busy process of equal or of low priority,
with `OMP_WAIT_POLICY` ACTIVE and PASSIVE in turn; prints the median seconds of an epoch and the ratios pair by pair.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

EPOCHS = 3
TRAIN = f"""
import sys
from pathlib import Path
from yolotune.training.job import Job, Order, isolate
isolate()
from yolotune.data.dataset import build_index, load_dataset, write_resolved
from yolotune.data.shapes import make_shapes
folder = Path(sys.argv[1])
data = load_dataset(make_shapes(folder / "shapes", train=12, val=6, size=64))
indexes = {{split: build_index(data, split, folder) for split in ("train", "val")}}
fixed = {{"imgsz": 64, "plots": False, "optimizer": "AdamW", "batch": 8}}
resolved = write_resolved(data, folder)
job = Job("yolo11n-seg.yaml", resolved, {EPOCHS}, fixed, indexes=indexes, threads=int(sys.argv[2]))
from yolotune.training.trainer import TrialTrainer
def told(row, last):
    print("epoch", row["seconds"], flush=True)
    return Order.GO
TrialTrainer(job, {{}}, folder / "out", told).train()
"""


def epoch_seconds(policy: str, threads: int, niceness: int) -> float:
    """Returns the median seconds of an epoch beside one busy process."""
    busy = subprocess.Popen(["nice", "-n", str(niceness), sys.executable, "-c", "while True: pass"])
    try:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", TRAIN, str(Path(folder)), str(threads)]
            environment = {**os.environ, "OMP_WAIT_POLICY": policy}
            said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    finally:
        busy.kill()
        busy.wait()
    return statistics.median(float(line.split()[1]) for line in said.splitlines() if line.startswith("epoch"))


def main() -> None:
    threads = os.cpu_count() or 1
    for niceness in (0, 15):
        spinning, passive = [], []
        for _ in range(2):
            spinning.append(epoch_seconds("ACTIVE", threads, niceness))
            passive.append(epoch_seconds("PASSIVE", threads, niceness))
        ratios = [one / other for one, other in zip(spinning, passive, strict=True)]
        print(
            f"{threads} threads on {threads} cores beside one busy process of niceness {niceness}, seconds an epoch: "
            f"spinning {statistics.median(spinning):.2f}, passive {statistics.median(passive):.2f}, "
            f"ratio {min(ratios):.1f} to {max(ratios):.1f}"
        )


if __name__ == "__main__":
    main()
