"""What a dataset is, in numbers: images and objects by split, classes, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolotune.data.labels import Sample
from yolotune.data.polygons import AREA, CLASS, HEIGHT, WIDTH

#: Pixels at the training's image size; smaller objects fit into one cell of the finest grid that YOLO predicts on.
SMALL = 8


@dataclass(frozen=True)
class SplitSummary:
    """A split in numbers. Images with problems are counted in `images` and `problems` alone.

    Attributes:
        images: Images, with problems or without.
        problems: Images that have problems of their own or in their labels.
        unlabelled: Images without a label file: background.
        empty: Images whose label file has no object: background too.
        objects: Objects in all.
        by_class: Objects by class id.
        sizes: Size of an object in pixels at the training's image size: the 5th percentile, the median and the 95th;
            none without objects. It is the side of a square as large as the object's box.
        small: Share of the objects that are smaller than `SMALL` pixels.
    """

    images: int
    problems: int
    unlabelled: int
    empty: int
    objects: int
    by_class: dict[int, int]
    sizes: tuple[float, float, float] | None
    small: float


@dataclass(frozen=True)
class Summary:
    """A dataset in numbers.

    Attributes:
        yaml: Absolute path of `data.yaml`.
        fingerprint: Of the dataset, as a study's environment.json has it.
        names: Class names by class id; empty where `data.yaml` has none that are right.
        imgsz: The training's image size in pixels, which the sizes of objects are told at.
        splits: By name, without absent ones.
        smallest: Width and height of the smallest image.
        largest: Of the largest one.
        commonest: The commonest width and height.
        commonest_share: Share of the images that have it.
        aspect: Longest side through shortest side of the most elongated image.
    """

    yaml: str
    fingerprint: str
    names: dict[int, str]
    imgsz: int
    splits: dict[str, SplitSummary]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    commonest: tuple[int, int]
    commonest_share: float
    aspect: float

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Summary:
        """Returns the summary that `dataclasses.asdict` and JSON took apart."""
        splits = {
            split: SplitSummary(
                **{
                    **part,
                    "by_class": {int(index): count for index, count in part["by_class"].items()},
                    "sizes": part["sizes"] and tuple(part["sizes"]),
                }
            )
            for split, part in document["splits"].items()
        }
        names = {int(index): name for index, name in document["names"].items()}
        pairs = {key: tuple(document[key]) for key in ("smallest", "largest", "commonest")}
        return cls(**{**document, **pairs, "splits": splits, "names": names})


def summarize(
    yaml: str, fingerprint: str, names: Mapping[int, str], samples: Mapping[str, Sequence[Sample]], imgsz: int
) -> Summary:
    """Returns a dataset in numbers.

    Args:
        yaml: Absolute path of `data.yaml`.
        fingerprint: Of the dataset.
        names: Class names by class id.
        samples: All images by split.
        imgsz: The training's image size in pixels.
    """
    sizes = Counter(sample.pixels for part in samples.values() for sample in part if any(sample.pixels))
    known = sorted(sizes, key=lambda size: (size[0] * size[1], size)) or [(0, 0)]
    commonest, times = max(sizes.items(), key=lambda item: (item[1], item[0]), default=((0, 0), 0))
    return Summary(
        yaml=yaml,
        fingerprint=fingerprint,
        names=dict(names),
        imgsz=imgsz,
        splits={split: _summarize_split(part, imgsz) for split, part in samples.items()},
        smallest=known[0],
        largest=known[-1],
        commonest=commonest,
        commonest_share=times / max(1, sizes.total()),
        aspect=max((max(size) / min(size) for size in sizes), default=0.0),
    )


def _summarize_split(samples: Sequence[Sample], imgsz: int) -> SplitSummary:
    usable = [sample for sample in samples if not sample.problems]
    objects = [sample.objects for sample in usable if sample.instances]
    sizes = np.concatenate([object_sizes(sample, imgsz) for sample in usable]) if usable else np.zeros(0)
    by_class = Counter(np.concatenate(objects)[:, CLASS].astype(int).tolist()) if objects else Counter[int]()
    percentiles = [round(float(size), 1) for size in np.percentile(sizes, [5, 50, 95])] if len(sizes) else None
    return SplitSummary(
        images=len(samples),
        problems=len(samples) - len(usable),
        unlabelled=sum(not sample.labelled for sample in usable),
        empty=sum(sample.labelled and not sample.instances for sample in usable),
        objects=sum(by_class.values()),
        by_class=dict(sorted(by_class.items())),
        sizes=(percentiles[0], percentiles[1], percentiles[2]) if percentiles else None,
        small=float(np.mean(sizes < SMALL)) if len(sizes) else 0.0,
    )


def object_sizes(sample: Sample, imgsz: int) -> np.ndarray:
    """Returns for each object the side in pixels of a square as large as its box, at an image size."""
    width, height = sample.objects[:, WIDTH], sample.objects[:, HEIGHT]
    return np.asarray(np.sqrt(width * height * _scaled_area(sample, imgsz)))


def mask_pixels(sample: Sample, imgsz: int) -> np.ndarray:
    """Returns for each object the area in pixels of its mask, at an image size."""
    return np.asarray(sample.objects[:, AREA] * _scaled_area(sample, imgsz))


def _scaled_area(sample: Sample, imgsz: int) -> float:
    """Returns the area in pixels of an image whose longest side has been scaled to `imgsz`."""
    width, height = sample.pixels
    return width * height * (imgsz / max(width, height, 1)) ** 2
