"""How long `yolotune status` takes on a study of 1,000 trials, and what the live view costs the study it shows.

python -m benchmarks.cost.status [TRIALS] [EPOCHS]
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from yolotune.config.layers import make_settings
from yolotune.display.live import LiveView
from yolotune.display.picture import Picture
from yolotune.record.study import StudyRecord, read_study
from yolotune.record.verdict import Ending, Verdict
from yolotune.record.writer import RecordWriter
from yolotune.report.status import summarize
from yolotune.report.tally import Tally
from yolotune.schedulers import resolve

F1 = "seg_metrics/F1"
#: An epoch report has as many numbers.
NUMBERS = 34


def make(folder: Path, trials: int, epochs: int) -> Path:
    """Writes a study of the default preset: every other trial pruned halfway."""
    settings = resolve(make_settings(data="data.yaml", num_samples=trials + 100, epochs=epochs, concurrent=2))
    record = RecordWriter(folder / "study", metric=settings.metric, mode="max")
    record.create(settings.model_dump(), {})
    point = {name: domain.ends()[0] for name, domain in settings.domains.items()}
    filler = {f"train_seg_metrics/{number}": 0.12345 for number in range(NUMBERS)}
    for number in range(trials):
        record.start(number, point)
        last = epochs if number % 2 else epochs // 2
        rows = [{"epoch": epoch, F1: epoch / epochs, **filler, "seconds": 12.345} for epoch in range(1, last + 1)]
        text = "".join(json.dumps({"schema": 1, **row}) + "\n" for row in rows)
        (record.folder / "trials" / f"{number:04d}" / "epochs.jsonl").write_text(text)
        record.rows(number).extend(rows)
        record.end(number, Ending(Verdict.COMPLETED if number % 2 else Verdict.PRUNED, "benchmark"), {})
    return record.folder


def seconds(call: Callable[[], object], times: int = 1) -> float:
    """Returns the seconds of a call, the mean of so many."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times


def main(trials: int = 1000, epochs: int = 50) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = make(Path(temporary), trials, epochs)
        command = [sys.executable, "-m", "yolotune", "status", str(folder)]
        print(f"{trials} trials, {epochs} epochs each or half of it")
        whole = seconds(lambda: subprocess.run(command, capture_output=True, check=True))
        print(f"yolotune status        {whole:.2f} s")
        print(f"  of it read_study     {seconds(lambda: read_study(folder)):.2f} s")
        record = read_study(folder)
        print(f"  of it summarize      {seconds(lambda: summarize(record, running=True)):.2f} s")
        measure_view(record)


def measure_view(record: StudyRecord) -> None:
    """Prints what a call of the listener costs, what its account costs, and one picture."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, soft_wrap=True)
    view, tally = LiveView(console), Tally(record.settings)
    view._tally = tally  # without the thread that draws, which is measured apart
    for trial in record.trials:
        tally.recorded(trial, running=False)
    for number in (5000, 5001):
        tally.started(number, record.trials[0].point)
    row = {"epoch": 1, F1: 0.5, "train_seg_metrics/F1": 0.6, "seconds": 12.0}
    print(f"a call of the listener {1e6 * seconds(lambda: view.epoch_reported(5000, row), 10000):.1f} µs")
    print(f"its account            {1e6 * seconds(lambda: tally.reported(5000, row), 10000):.1f} µs, when drawing")
    picture = seconds(lambda: console.print(Picture(tally.summary(), F1, [])), 100)
    print(f"a picture              {1e3 * picture:.1f} ms, four a second, in a thread of its own")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
