"""The dataset in numbers, and what was found in it, from `data/summary.json` of a study's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.report.formatting import NO_VALUE


@dataclass(frozen=True)
class Remark:
    """Something that was found in the dataset: how much it matters, where, what, and what to do about it."""

    level: str
    where: str
    what: str
    fix: str


@dataclass(frozen=True)
class DatasetSummary:
    """The dataset as the page shows it.

    Attributes:
        imgsz: Image size in pixels at which the sizes of objects are told.
        splits: A row for each split: name, images, backgrounds, objects, their size, share under 8 px.
        split_names: Of the columns of `classes`.
        classes: Name, and objects by split, of each class.
        remarks: Errors first, notes last.
    """

    imgsz: int
    splits: list[list[str]]
    split_names: list[str]
    classes: list[tuple[str, list[str]]]
    remarks: list[Remark]


def dataset_summary(study: Path) -> DatasetSummary | None:
    """Returns what is known of a study's dataset; None where the file is missing or damaged: it only helps."""
    try:
        document = json.loads((study / "data" / "summary.json").read_bytes())
        return _summary(document["summary"], document["findings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _summary(said: Mapping[str, Any], findings: list[Mapping[str, Any]]) -> DatasetSummary:
    splits = said["splits"]
    return DatasetSummary(
        imgsz=int(said["imgsz"]),
        splits=[[name, *_split(part)] for name, part in splits.items()],
        split_names=list(splits),
        classes=[
            (str(name), [f"{part['by_class'].get(index, 0):,}" for part in splits.values()])
            for index, name in said["names"].items()
        ],
        remarks=[Remark(*(str(one[key]) for key in ("level", "where", "what", "fix"))) for one in findings],
    )


def _split(part: Mapping[str, Any]) -> list[str]:
    low, middle, high = part["sizes"] or (None, None, None)
    return [
        f"{part['images']:,}",
        f"{part['unlabelled'] + part['empty']:,}",
        f"{part['objects']:,}",
        NO_VALUE if middle is None else f"{low:.0f} to {high:.0f}, median {middle:.0f}",
        f"{part['small']:.1%}" if part["objects"] else NO_VALUE,
    ]
