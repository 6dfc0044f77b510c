"""The dataset in numbers, and what was found in it, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolotune.data import read_summary
from yolotune.data.findings import Finding
from yolotune.data.summary import SplitSummary
from yolotune.report.formatting import NO_VALUE


@dataclass(frozen=True)
class DatasetSummary:
    """The dataset as the page shows it.

    Attributes:
        imgsz: Image size in pixels at which the sizes of objects are told.
        splits: A row for each split: name, images, backgrounds, objects, their size, share under 8 px.
        split_names: Of the columns of `classes`.
        classes: Name, and objects by split, of each class.
        findings: Errors first, notes last.
    """

    imgsz: int
    splits: list[list[str]]
    split_names: list[str]
    classes: list[tuple[str, list[str]]]
    findings: tuple[Finding, ...]


def dataset_summary(study: Path) -> DatasetSummary | None:
    """Returns what is known of a study's dataset; None where that file is missing or damaged: it only helps."""
    examination = read_summary(study / "data")
    if examination is None or examination.summary is None:
        return None
    said = examination.summary
    return DatasetSummary(
        imgsz=said.imgsz,
        splits=[[name, *_split(part)] for name, part in said.splits.items()],
        split_names=list(said.splits),
        classes=[
            (name, [f"{part.by_class.get(index, 0):,}" for part in said.splits.values()])
            for index, name in said.names.items()
        ],
        findings=examination.findings,
    )


def _split(part: SplitSummary) -> list[str]:
    low, middle, high = part.sizes or (None, None, None)
    return [
        f"{part.images:,}",
        f"{part.unlabelled + part.empty:,}",
        f"{part.objects:,}",
        NO_VALUE if middle is None else f"{low:.0f} to {high:.0f}, median {middle:.0f}",
        f"{part.small:.1%}" if part.objects else NO_VALUE,
    ]
