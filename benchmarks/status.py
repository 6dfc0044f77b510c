"""How long `yolotune status` takes on a study of 1,000 trials, and what the live view costs the study it shows.

python benchmarks/status.py [TRIALS] [EPOCHS]
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from yolotune.config.settings import Settings
from yolotune.display.live import Picture
from yolotune.record.study import Ending, Verdict, read_study
from yolotune.record.writer import Record
from yolotune.report.status import Tally, summarize
from yolotune.tuner.plan import Listener

F1 = "seg_metrics/F1"
#: An epoch report has as many numbers.
NUMBERS = 34


def make(folder: Path, trials: int, epochs: int) -> Path:
    """Writes a study of the default preset: every other trial pruned halfway."""
    study = Settings(data="data.yaml", num_samples=trials + 100, epochs=epochs, concurrent=2)
    record = Record(folder / "study", metric=study.metric, mode="max")
    record.create(study.model_dump(), {})
    point = {name: domain.ends()[0] for name, domain in study.domains.items()}
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


def seconds(call: object, times: int = 1) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()  # type: ignore[operator]
    return (time.perf_counter() - began) / times


def main(trials: int = 1000, epochs: int = 50) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = make(Path(temporary), trials, epochs)
        command = [sys.executable, "-m", "yolotune", "status", str(folder)]
        print(f"{trials} trials, {epochs} epochs each or half of it")
        print(
            f"yolotune status        {seconds(lambda: subprocess.run(command, capture_output=True, check=True)):.2f} s"
        )
        print(f"  of it read_study     {seconds(lambda: read_study(folder)):.2f} s")
        record = read_study(folder)
        print(f"  of it summarize      {seconds(lambda: summarize(record, running=True)):.2f} s")
        _view(record, epochs)


def _view(record: object, epochs: int) -> None:
    """Measures one call of the listener, one account of it, and one picture."""
    from yolotune.display.live import LiveView

    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, soft_wrap=True)
    view: Listener = LiveView(console)
    tally = Tally(metric=F1, mode="max", planned=2000, epochs=epochs, concurrent=2)
    view._tally = tally  # type: ignore[attr-defined]  # without the thread that draws, which is what is measured apart
    for trial in record.trials:  # type: ignore[attr-defined]
        tally.recorded(trial, running=False)
    for number in (5000, 5001):
        tally.started(number)
    row = {"epoch": 1, F1: 0.5, "train_seg_metrics/F1": 0.6, "seconds": 12.0}
    print(f"a call of the listener {1e6 * seconds(lambda: view.epoch_reported(5000, row), 10000):.1f} µs")
    print(f"its account            {1e6 * seconds(lambda: tally.reported(5000, row), 10000):.1f} µs, when drawing")
    picture = seconds(lambda: console.print(Picture(tally.summary(), F1, [])), 100)
    print(f"a picture              {1e3 * picture:.1f} ms, four a second, in a thread of its own")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
