"""Makes docs/transcripts.md: what yolotune prints where users meet it first, by running it.

    python -m benchmarks.transcripts

Commands run one after another in an empty folder, without a terminal, on made shapes; minutes on two cores. Folders
of this machine are called `/home/you`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from yolotune.data.shapes import make_shapes

PAGE = Path(__file__).parents[1] / "docs" / "transcripts.md"
HOME = "/home/you"
#: Of all commands: trainings from random weights that learn in seconds.
SMALL = "--data shapes/data.yaml --model yolo11n-seg.yaml --imgsz 64 --device cpu --wandb disabled"
LEARNS = "--preset none --space space.yaml optimizer=AdamW nbs=16 mosaic=0.0 warmup_epochs=1 warmup_bias_lr=0.0"
SPACE = "lr0: loguniform(1e-3, 1e-2)\nbox: uniform(5.0, 8.0)\nbatch: choice([8, 16])\n"


@dataclass(frozen=True)
class Case:
    """Some commands that belong together.

    Attributes:
        title: Of the section.
        text: What to look at.
        commands: Words behind `yolotune`, with the exit code that is expected.
    """

    title: str
    text: str
    commands: tuple[tuple[str, int], ...]


CASES = (
    Case(
        "A run without a terminal",
        "In a pipe, a log or a batch job events are lines, epochs one every half minute at most. The same lines stand "
        "in the output of a\nnotebook's cell: [notebook.ipynb](notebook.ipynb).",
        ((f"run {SMALL} {LEARNS} --name log --epochs 24 --num-samples 4 --grace-period 6", 0),),
    ),
    Case(
        "One argument fixed, one range replaced",
        "`batch=8` would be a mistake if both the search and the user chose it; so it is fixed, and the plan says so.",
        ((f"check {SMALL} batch=8 --set 'lr0=loguniform(1e-3, 1e-2)' --set cutmix=", 0),),
    ),
    Case(
        "An unfinished study met again",
        "The first study ends because its budget is spent. The same command begins another one and says how to go on "
        "with the first; with\n`--resume` it goes on.",
        (
            (f"run {SMALL} {LEARNS} --name night --epochs 24 --num-samples 3 --budget 30 --scheduler none", 0),
            (f"check {SMALL} {LEARNS} --name night --epochs 24 --num-samples 3 --scheduler none", 0),
            (f"run {SMALL} {LEARNS} --name night --epochs 24 --num-samples 3 --budget 2h --scheduler none --resume", 0),
        ),
    ),
    Case(
        "A study that learned nothing",
        "Two epochs from random weights teach nothing. Nothing is called best, and the exit code is 1.",
        ((f"run {SMALL} {LEARNS} --name nothing --epochs 2 --num-samples 2 --scheduler none", 1),),
    ),
)


def transcript(words: str, code: int, folder: Path) -> str:
    """Runs a command as a shell would and returns it with what it printed.

    Raises:
        SystemExit: Its exit code is not the expected one.
    """
    done = subprocess.run(
        f"{sys.executable} -m yolotune {words}",
        shell=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != code:
        raise SystemExit(f"yolotune {words}: exit code {done.returncode}, expected {code}\n{done.stdout}")
    return f"$ yolotune {words}\n{done.stdout.rstrip()}\n" + (f"$ echo $?\n{code}\n" if code else "")


def main() -> None:
    sections = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        make_shapes(folder / "shapes", train=96, val=32, size=64, per_image=2)
        (folder / "space.yaml").write_text(SPACE)
        for case in CASES:
            said = "\n".join(transcript(words, code, folder) for words, code in case.commands)
            sections.append(f"## {case.title}\n\n{case.text}\n\n```\n{said.replace(str(folder), HOME)}```\n")
    head = "# Transcripts\n\nWhat yolotune prints, made by `python -m benchmarks.transcripts`.\n"
    PAGE.write_text("\n".join([head, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
