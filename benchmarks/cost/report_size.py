"""What a report weighs and costs: bytes of the page and seconds to build it, for studies of 50 and 1,000 trials.

    python -m benchmarks.cost.report_size [STUDY]

The studies are made up (`tests/records.py`). With the folder of a real study, the photographs are timed as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.records import write_study

TRIALS = (50, 1000)


def build(study: Path, *flags: str) -> tuple[float, float]:
    """Returns the seconds of `yolotune report`, start of Python to its end, and the megabytes of the page."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "yolotune", "report", str(study), *flags], check=True, capture_output=True)
    return time.monotonic() - began, (study / "report.html").stat().st_size / 1e6


def main() -> None:
    for trials in TRIALS:
        with tempfile.TemporaryDirectory() as folder:
            study = write_study(Path(folder) / "study", trials=trials)
            seconds, size = build(study, "--no-photos")
        print(f"{trials:>5} trials x 30 epochs: {size:.2f} MB in {seconds:.2f} s")
    for study in map(Path, sys.argv[1:]):
        for flags in (["--no-photos"], []):
            seconds, size = build(study, *flags)
            print(f"{study.name} {' '.join(flags) or 'with photographs'}: {size:.2f} MB in {seconds:.2f} s")


if __name__ == "__main__":
    main()
