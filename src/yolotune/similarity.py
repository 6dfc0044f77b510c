"""How near two studies are: what they train on, and how. Plain arithmetic, so that anyone can check it by hand.

The distance is a sum of parts, each 0 where two studies agree: logarithms of ratios, and fixed amounts for what has no
order. The weights are judgement, not measured: a learning rate depends on how long is trained, from which weights and
on how much, so these weigh most. Data with the same fingerprint have no distance, whatever else is written of them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

#: Studies as far away as this, or further, have nothing to propose.
NEAR = 1.0
#: What the parts weigh: per factor 10 in number,
IMAGES, OBJECTS, CLASSES = 0.5, 0.5, 0.5
#: per factor 2,
OBJECT_SIDE, IMAGE_SIDE, IMGSZ, EPOCHS = 0.25, 0.1, 0.25, 0.2
#: for class names of which none is shared, and for another objective,
NAMES, OBJECTIVE = 0.25, 0.3
#: for other weights of the same architecture, per step in size (n, s, m, l, x), for another family, for an
#: architecture that the name does not tell, and for made weights against pretrained ones.
WEIGHTS, STEP, FAMILY, UNKNOWN, PRETRAINED = 0.2, 0.1, 0.3, 0.5, 1.0
#: Smaller objects are as good as this: the share of the image of one pixel in a thousand by a thousand.
LEAST_AREA = 1e-6
SIZES = "nsmlx"
#: No amount of anything is larger.
MOST = 1e15


@dataclass(frozen=True)
class Task:
    """What a study trains on, and how.

    Attributes:
        fingerprint: Of the dataset.
        images: Training images.
        objects: Labelled objects per training image.
        areas: 10, 50 and 90 % quantiles of the objects' box areas, as shares of their image, 0..1.
        side: Of the training images in pixels, median of the square root of width times height.
        names: Of the classes, at most the first `NAMES_KEPT`.
        nc: Number of classes.
        model: Name of the weights or the architecture, without folder: `yolo11n-seg.pt`.
        weights: sha256 of pretrained weights; None for an architecture.
        imgsz: Image size of a training in pixels.
        epochs: Of a trial that nothing stops.
        objective: What is searched, by the user's name.
    """

    fingerprint: str
    images: int
    objects: float
    areas: tuple[float, float, float]
    side: float
    names: tuple[str, ...]
    nc: int
    model: str
    weights: str | None
    imgsz: int
    epochs: int
    objective: str

    def __post_init__(self) -> None:
        amounts = (self.images, self.objects, self.side, self.nc, self.imgsz, self.epochs)
        if not all(0 < amount < MOST for amount in amounts) or not all(0 <= area < MOST for area in self.areas):
            raise ValueError(f"amounts above 0 and below {MOST:g} are expected")


#: Class names that are kept of a dataset: enough to know it by.
NAMES_KEPT = 200


@dataclass(frozen=True)
class Difference:
    """One thing in which two studies differ: what it adds to their distance, and in words."""

    cost: float
    words: str


def distance(here: Task, there: Task) -> float:
    """Returns how far two studies are from each other, 0 and up; the order does not matter."""
    return math.fsum(sorted(difference.cost for difference in differences(here, there)))


def same_data(here: Task, there: Task) -> bool:
    """Whether both have the same images, labels and classes."""
    return here.fingerprint == there.fingerprint


def differences(here: Task, there: Task) -> list[Difference]:
    """Returns everything in which two studies differ, the weightiest first."""
    found = [*_model(here, there)]
    found.append(_ratio("imgsz", here.imgsz, there.imgsz, IMGSZ * math.log2(10)))
    found.append(_ratio("epochs", here.epochs, there.epochs, EPOCHS * math.log2(10)))
    if here.objective != there.objective:
        found.append(Difference(OBJECTIVE, f"objective {there.objective} there, {here.objective} here"))
    if not same_data(here, there):
        found += _data(here, there)
    return sorted((part for part in found if part.cost > 0), key=lambda part: -part.cost)


def _data(here: Task, there: Task) -> list[Difference]:
    areas = [
        abs(math.log2(max(one, LEAST_AREA) / max(other, LEAST_AREA))) / 2  # of a side, not of an area
        for one, other in zip(here.areas, there.areas, strict=True)
    ]
    middle = [f"{100 * math.sqrt(task.areas[len(task.areas) // 2]):.0f} %" for task in (there, here)]
    shared = set(here.names) & set(there.names)
    alike = len(shared) / len({*here.names, *there.names}) if here.names or there.names else 1.0
    which = "other classes" if not shared else f"{len(shared)} classes in common"
    return [
        _ratio("images", here.images, there.images, IMAGES),
        _ratio("objects per image", here.objects, there.objects, OBJECTS),
        Difference(
            OBJECT_SIDE * math.fsum(sorted(areas)) / len(areas),
            f"objects of {middle[0]} of the image's side there, {middle[1]} here",
        ),
        _ratio("image side", here.side, there.side, IMAGE_SIDE * math.log2(10)),
        _ratio("classes", here.nc, there.nc, CLASSES),
        Difference(NAMES * (1 - alike), which),
    ]


def _ratio(what: str, here: float, there: float, weight: float) -> Difference:
    """Returns a difference that costs `weight` per factor of ten."""
    words = f"{what} {_amount(there)} there, {_amount(here)} here"
    return Difference(weight * abs(math.log10(here) - math.log10(there)), words)


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _model(here: Task, there: Task) -> list[Difference]:
    words = f"model {there.model} there, {here.model} here"
    if (here.weights is None) != (there.weights is None):
        made, pretrained = ("there", "here") if there.weights is None else ("here", "there")
        return [Difference(PRETRAINED, f"weights made {made}, pretrained {pretrained}")]
    if here.weights is not None and here.weights == there.weights:
        return []
    kinds = _kind(here.model), _kind(there.model)
    if kinds[0] is None or kinds[1] is None:
        same = here.weights is None and here.model == there.model
        return [] if same else [Difference(UNKNOWN, words)]
    (family, size), (other, other_size) = kinds[0], kinds[1]
    cost = STEP * abs(SIZES.index(size) - SIZES.index(other_size)) + (FAMILY if family != other else 0.0)
    if cost == 0 and here.weights is not None:
        return [Difference(WEIGHTS, "other weights of the same architecture")]
    return [Difference(cost, words)]


def _kind(model: str) -> tuple[str, str] | None:
    """Returns family and size of `yolo11n-seg.pt` and its like."""
    found = re.match(rf"(yolo(?:v?\d+))([{SIZES}])(?![a-z])", model.lower())
    return (found[1], found[2]) if found else None
