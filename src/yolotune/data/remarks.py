"""What is legal in classes, labels and sizes, and likely a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from yolotune.data.dataset import Reading
from yolotune.data.findings import Finding, Level
from yolotune.data.labels import Sample, label_path
from yolotune.data.polygons import AREA, CROSSING, LINE
from yolotune.data.summary import SMALL, Summary, mask_pixels, object_sizes

#: Share of something from which on it is a warning; less of it happens in every dataset, and costs little.
RARE = 0.02
#: Share of small objects in a split that is a warning.
MANY_SMALL = 0.2
#: Share of images without a label file that is a warning.
MANY_UNLABELLED = 0.5
#: Longest side through shortest side; more than that leaves the short side few pixels.
ELONGATED = 4
#: Masks are learned at a quarter of the image size (Ultralytics' `mask_ratio`): a pixel of theirs is 4 x 4.
MASK_PIXEL = 16


def remarks(reading: Reading, summary: Summary, shown: Callable[[str], str]) -> Iterator[Finding]:
    """Yields what is likely wrong with a dataset's classes, labels and sizes.

    Args:
        reading: The dataset.
        summary: The same in numbers.
        shown: Shortens a path for the reader.
    """
    where = shown(str(reading.yaml))
    usable = {split: [one for one in part if not one.problems] for split, part in reading.samples.items()}
    yield from _of_names(where, summary)
    yield from _of_classes(where, summary)
    yield from _of_backgrounds(summary)
    yield from _of_sizes(usable, summary, shown)
    yield from _of_polygons(usable, summary, shown)


def _of_names(where: str, summary: Summary) -> Iterator[Finding]:
    ids: dict[str, list[int]] = {}
    for index, name in summary.names.items():
        ids.setdefault(name.strip().casefold(), []).append(index)
    for twice in ids.values():
        if len(twice) > 1:
            given = " and ".join(str(index) for index in twice)
            what = f"the classes {given} have the same name, {summary.names[twice[0]]!r}."
            fix = "rename one, or merge them in the labels: as it is, they are learned as different things."
            yield Finding(Level.WARNING, "same-name", f"{where}: names", what, fix)


def _of_classes(where: str, summary: Summary) -> Iterator[Finding]:
    counts = {split: part.by_class for split, part in summary.splits.items() if split != "test"}
    if len(counts) < 2 or not all(counts.values()):  # a split without objects is an error already
        return
    used = {index for part in summary.splits.values() for index in part.by_class}
    for split, other, follows in (
        ("train", "val", "nothing can be learned of it, and its F1 of 0 lowers the mean"),
        ("val", "train", "how well it is learned is never measured"),
    ):
        found = [index for index in counts[other] if index not in counts[split]]
        if found:
            what = f"{_classes(found, summary.names)} no object in {split}: {follows}."
            examples = tuple(f"{summary.names[index]}: {counts[other][index]:,} in {other}" for index in found)
            fix = f"move some images from {other} to {split}, or remove the class."
            yield Finding(Level.WARNING, f"class-not-in-{split}", where, what, fix, len(found), examples)
    unused = tuple(name for index, name in summary.names.items() if index not in used)
    if unused:
        several = "1 name is" if len(unused) == 1 else f"{len(unused)} of {len(summary.names)} names are"
        what = f"{several} never used in a label: {_listed(unused)}."
        yield Finding(Level.NOTE, "unused-name", f"{where}: names", what, "", len(unused), unused)


def _classes(found: Sequence[int], names: Mapping[int, str]) -> str:
    """Returns `the class cat has` or `3 classes (cat, dog, cow) have`."""
    if len(found) == 1:
        return f"the class {names[found[0]]!r} has"
    return f"{len(found)} classes ({_listed([names[index] for index in found])}) have"


def _of_backgrounds(summary: Summary) -> Iterator[Finding]:
    for split, part in summary.splits.items():
        if part.objects and part.unlabelled > MANY_UNLABELLED * part.images:
            what = f"{part.unlabelled:,} of {part.images:,} {split} images have no label file and count as background."
            fix = "give them their labels; an empty label file says that there is nothing on an image."
            yield Finding(Level.WARNING, "unlabelled-images", split, what, fix, part.unlabelled)


def _of_sizes(
    samples: Mapping[str, Sequence[Sample]], summary: Summary, shown: Callable[[str], str]
) -> Iterator[Finding]:
    for split, part in summary.splits.items():
        if part.small >= MANY_SMALL:
            larger = 2 * summary.imgsz
            then = np.mean(np.concatenate([object_sizes(sample, larger) for sample in samples[split]]) < SMALL)
            what = f"{part.small:.0%} of the objects are under {SMALL} px at imgsz {summary.imgsz}, and hard to find."
            fix = f"raise imgsz (at {larger} it would be {then:.0%}), or cut the images into tiles."
            count = round(part.small * part.objects)
            yield Finding(Level.WARNING, "small-objects", split, what, fix, count)
    long = tuple(
        f"{shown(sample.image)} ({sample.pixels[0]} x {sample.pixels[1]} px)"
        for part in samples.values()
        for sample in part
        if max(sample.pixels) > ELONGATED * min(sample.pixels)
    )
    if long:
        several = "1 image is" if len(long) == 1 else f"{len(long):,} images are"
        what = f"{several} more than {ELONGATED} times as long as wide; imgsz {summary.imgsz} leaves little: {long[0]}."
        yield Finding(Level.NOTE, "elongated", "images", what, "cut such images into tiles.", len(long), long)


def _of_polygons(
    samples: Mapping[str, Sequence[Sample]], summary: Summary, shown: Callable[[str], str]
) -> Iterator[Finding]:
    objects = sum(part.objects for part in summary.splits.values())
    every = [sample for part in samples.values() for sample in part]

    def places(chosen: Callable[[Sample], Iterable[float]]) -> tuple[str, ...]:
        return tuple(f"{shown(label_path(one.image))}:{int(line)}" for one in every for line in chosen(one))

    def finding(kind: str, found: tuple[str, ...], one: str, several: str, fix: str) -> Iterator[Finding]:
        if found:
            what = (
                f"{f'1 polygon {one}' if len(found) == 1 else f'{len(found):,} polygons {several}'}: {_listed(found)}."
            )
            level = Level.WARNING if len(found) > RARE * objects else Level.NOTE
            yield Finding(level, kind, "labels", what, fix, len(found), found)

    def tiny(sample: Sample) -> np.ndarray:
        masks = mask_pixels(sample, summary.imgsz)
        return np.asarray(sample.objects[(masks < MASK_PIXEL) & (sample.objects[:, AREA] > 0), LINE])

    yield from finding(
        "crossing",
        places(lambda sample: sample.objects[sample.objects[:, CROSSING] > 0, LINE]),
        "crosses itself, so that its mask is not what was drawn",
        "cross themselves, so that their masks are not what was drawn",
        "write the points in the order of the outline; join parts of an object by a bridge, there and back.",
    )
    yield from finding(
        "no-area",
        places(lambda sample: sample.objects[sample.objects[:, AREA] == 0, LINE]),
        "has no area",
        "have no area",
        "remove these rows.",
    )
    yield from finding(
        "near-empty",
        places(tiny),
        f"is smaller than one pixel of the masks that are learned at imgsz {summary.imgsz}",
        f"are smaller than one pixel of the masks that are learned at imgsz {summary.imgsz}",
        "raise imgsz, or remove these rows if they are slips.",
    )
    repeated = places(lambda sample: sample.repeated)
    if repeated:
        several = "1 row repeats" if len(repeated) == 1 else f"{len(repeated):,} rows repeat"
        what = f"{several} an earlier one of the same file and will be left out: {_listed(repeated)}."
        yield Finding(Level.NOTE, "repeated-row", "labels", what, "", len(repeated), repeated)


def _listed(items: Sequence[str], most: int = 3) -> str:
    """Returns the first items and how many more there are."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most:,} more" if len(items) > most else shown
