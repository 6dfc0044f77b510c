"""The data doctor: what a dataset is, and what is likely wrong with it.

Most trainings that fail, fail by their data. `examine` never raises for what a user did: that, too, is a finding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yolotune._yaml import write_atomic
from yolotune.data.dataset import Dataset, Reading, read_dataset
from yolotune.data.findings import Finding, Level, grouped
from yolotune.data.halves import unseen
from yolotune.data.leaks import leaks
from yolotune.data.remarks import remarks
from yolotune.data.summary import Summary, summarize
from yolotune.errors import Problem, UserError

#: Of the document and of `summary.json`.
SCHEMA = 1


@dataclass(frozen=True)
class Examination:
    """A dataset in numbers, and what was found in it.

    Attributes:
        summary: The numbers; None where `data.yaml` cannot be read.
        findings: Errors first, notes last.
        dataset: What a study needs; None where there is an error, and where the examination was read from a file.
    """

    summary: Summary | None
    findings: tuple[Finding, ...]
    dataset: Dataset | None = None

    @property
    def problems(self) -> list[Problem]:
        """The errors, as the user reads them."""
        return [found.problem() for found in self.findings if found.level is Level.ERROR]

    def document(self) -> dict[str, Any]:
        """Returns summary and findings as plain data, for JSON."""
        findings = [{**asdict(found), "level": str(found.level)} for found in self.findings]
        return {"schema": SCHEMA, "summary": asdict(self.summary) if self.summary else None, "findings": findings}


def examine(path: str | Path, *, imgsz: int = 640, allow_bad_labels: bool = False) -> Examination:
    """Returns what a dataset is, and all that is wrong with it or likely so.

    Args:
        path: As `load_dataset` takes it.
        imgsz: The training's image size in pixels, for the sizes of objects.
        allow_bad_labels: As `load_dataset` takes it.
    """
    try:
        reading = read_dataset(path, allow_bad_labels=allow_bad_labels)
    except UserError as error:
        return Examination(None, tuple(grouped(("data.yaml", problem) for problem in error.problems)))
    summary = summarize(str(reading.yaml), reading.fingerprint, reading.names or {}, reading.samples, imgsz)
    shown = _shortened(reading)
    found = [
        *reading.findings,
        *remarks(reading, summary, shown),
        *unseen(reading.samples, shown),
        *leaks(reading.samples, reading.fingerprint, shown),
    ]
    order = list(Level)
    return Examination(summary, tuple(sorted(found, key=lambda one: order.index(one.level))), reading.dataset)


def _shortened(reading: Reading) -> Callable[[str], str]:
    """Returns what makes a path of the dataset relative to its root, or to the folder of `data.yaml`."""
    roots = (str(reading.root), str(reading.yaml.parent))

    def shown(path: str) -> str:
        inside = (os.path.relpath(path, root) for root in roots if path.startswith(root + os.sep))
        return min(inside, key=len, default=path)

    return shown


def write_summary(examination: Examination, folder: Path) -> None:
    """Writes `summary.json`, for the report.

    Args:
        examination: Of a study's dataset.
        folder: `data/` of the study's folder.
    """
    write_atomic(folder / "summary.json", (json.dumps(examination.document(), indent=1) + "\n").encode())


def read_summary(folder: Path) -> Examination | None:
    """Returns what `write_summary` wrote; None where it is missing or damaged: it only helps.

    Args:
        folder: As `write_summary` takes it.
    """
    try:
        document = json.loads((folder / "summary.json").read_bytes())
        summary = Summary.from_document(document["summary"])
        findings = tuple(
            Finding(**{**one, "level": Level(one["level"]), "examples": tuple(one["examples"])})
            for one in document["findings"]
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Examination(summary, findings)
