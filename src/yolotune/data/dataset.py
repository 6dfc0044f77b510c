"""A dataset, as `data.yaml` and its files describe it.

Everything that can be wrong is found here, in seconds and without torch. The dataset's own folder is only ever read,
and no `download:` code runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolotune._yaml import read_yaml
from yolotune.data import labels
from yolotune.data.data_yaml import class_names, dataset_root, find_yaml, image_channels, split_entries
from yolotune.data.findings import Finding, Level, grouped
from yolotune.data.labels import Found, Sample, label_path, list_images
from yolotune.errors import Problem, UserError, fail

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Dataset:
    """A dataset whose every file has been looked at.

    Attributes:
        yaml: Absolute path of `data.yaml`.
        names: Class names by class id, 0..nc-1.
        train: Absolute paths of folders and image lists, as Ultralytics resolves them.
        val: The same for validation.
        test: The same for testing; empty where there is none on disk.
        channels: Image channels.
        images: Number of usable images by split.
        pixels: Width and height of each usable image by split, in the order of paths, not yet turned by EXIF.
        instances: Number of labelled objects in them by split.
        ignored: Images left out of training by split; empty unless bad labels were allowed.
        fingerprint: sha256 of class names, relative image paths, image sizes and labels; survives a move.
    """

    yaml: Path
    names: dict[int, str]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    channels: int
    images: dict[str, int]
    pixels: dict[str, tuple[tuple[int, int], ...]]
    instances: dict[str, int]
    ignored: dict[str, tuple[str, ...]]
    fingerprint: str

    @property
    def nc(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Folders and image lists by split, without absent splits."""
        return {split: entries for split in SPLITS if (entries := getattr(self, split))}

    def trained(self, fraction: float) -> int:
        """Returns how many training images Ultralytics' `fraction` leaves: a share up to 1.0, or a number."""
        there = self.images["train"]
        return min(there, fraction if isinstance(fraction, int) else max(1, round(there * fraction)))

    def described(self) -> dict[str, Any]:
        """Returns what a study's environment.json says of the dataset."""
        return {
            "yaml": str(self.yaml),
            "fingerprint": self.fingerprint,
            "images": self.images,
            "instances": self.instances,
            "ignored": {split: len(images) for split, images in self.ignored.items()},
            "names": {str(index): name for index, name in self.names.items()},
        }


@dataclass(frozen=True)
class Reading:
    """What is read of a dataset, be it right or wrong.

    Attributes:
        yaml: Absolute path of `data.yaml`.
        names: Class names by class id; None where they are wrong.
        root: Folder that the splits are relative to.
        samples: All images with their labels, by split; without absent splits.
        fingerprint: As of `Dataset`.
        findings: All that is wrong with it; with `allow_bad_labels` what is wrong with single images is a note.
        dataset: What a study needs; None where there is an error.
    """

    yaml: Path
    names: dict[int, str] | None
    root: Path
    samples: dict[str, list[Sample]]
    fingerprint: str
    findings: list[Finding]
    dataset: Dataset | None


def load_dataset(path: str | Path, *, allow_bad_labels: bool = False) -> Dataset:
    """Returns a dataset after looking at every image and label of it.

    Args:
        path: A `data.yaml`, or the name of one that Ultralytics ships (`coco8-seg.yaml`), its images on disk.
        allow_bad_labels: Leave images with problems out, as Ultralytics does, instead of refusing them.

    Raises:
        UserError: Everything that is wrong, many problems of a kind told as one.
    """
    reading = read_dataset(path, allow_bad_labels=allow_bad_labels)
    if reading.dataset is None:
        raise UserError(found.problem() for found in reading.findings if found.level is Level.ERROR)
    return reading.dataset


def read_dataset(path: str | Path, *, allow_bad_labels: bool = False) -> Reading:
    """Returns what there is of a dataset, and all that is wrong with it.

    Args:
        path: As `load_dataset` takes it.
        allow_bad_labels: Likewise.

    Raises:
        UserError: `data.yaml` cannot be read.
    """
    file = find_yaml(str(path))
    data = read_yaml(file)
    if not isinstance(data, dict):
        what = f"got a {type(data).__name__}, expected a map of train, val and names."
        raise fail(str(file), what, "see https://docs.ultralytics.com/datasets/segment")
    found: list[Found] = []
    names = class_names(file, data, found)
    channels = image_channels(file, data, found)
    root = dataset_root(file, data)
    entries = {split: split_entries(file, data, split, root, found) for split in SPLITS}
    samples = {split: _samples(entries[split], names, found) for split in SPLITS}
    present = {split: samples[split] for split in SPLITS if entries[split]}
    usable = {split: [sample for sample in part if not sample.problems] for split, part in present.items()}
    for split in SPLITS:
        found += _split_problems(f"{file}: {split}", split, samples[split], allow_bad_labels)
    found += _leaks(samples["train"], samples["val"])
    findings = [*grouped(found), *_sample_findings(present, usable, allow_bad_labels)]
    fingerprint, dataset = labels.fingerprint(names or {}, root, present), None
    if names is not None and not any(one.level is Level.ERROR for one in findings):
        dataset = Dataset(
            yaml=file,
            names=names,
            channels=channels,
            **entries,
            images={split: len(part) for split, part in usable.items()},
            pixels={split: tuple(sample.pixels for sample in part) for split, part in usable.items()},
            instances={split: sum(sample.instances for sample in part) for split, part in usable.items()},
            ignored={split: tuple(s.image for s in part if s.problems) for split, part in present.items()},
            fingerprint=fingerprint,
        )
    return Reading(file, names, root, present, fingerprint, findings, dataset)


def with_val_trained(dataset: Dataset) -> Dataset:
    """Returns the dataset whose training split has the validation split in it too; that stays as it is."""
    return replace(
        dataset,
        train=(*dataset.train, *dataset.val),
        images={**dataset.images, "train": dataset.images["train"] + dataset.images["val"]},
        pixels={**dataset.pixels, "train": dataset.pixels["train"] + dataset.pixels["val"]},
        instances={**dataset.instances, "train": dataset.instances["train"] + dataset.instances["val"]},
        ignored={**dataset.ignored, "train": (*dataset.ignored["train"], *dataset.ignored["val"])},
    )


def _samples(entries: tuple[str, ...], names: dict[int, str] | None, found: list[Found]) -> list[Sample]:
    """Returns all images of a split with what is wrong with them; none where a list cannot be read."""
    try:
        images = list_images(entries)
    except UserError as error:
        found += [("split", problem) for problem in error.problems]
        return []
    if entries and not images:
        fix = f"correct the path, or add images ({', '.join(sorted(labels.IMG_FORMATS))})."
        found.append(("empty", Problem(", ".join(entries), "there are no images.", fix)))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(functools.partial(labels.check_sample, nc=len(names) if names else None), images))


def _sample_findings(
    samples: dict[str, list[Sample]], usable: dict[str, list[Sample]], allow: bool
) -> Iterator[Finding]:
    """Yields what is wrong with single images and their labels, and whether they may be left out."""
    found = [problem for part in samples.values() for sample in part for problem in sample.problems]
    if allow:
        yield from grouped(found, level=Level.NOTE)
        return
    enough = all(any(sample.instances for sample in usable.get(split, ())) for split in ("train", "val"))
    yield from grouped(found, way_out="leave such images out: --allow-bad-labels" if enough else "")


def _split_problems(where: str, split: str, samples: list[Sample], allow: bool) -> Iterator[Found]:
    """Yields what is wrong with a split as a whole."""
    problems = [found for sample in samples for found in sample.problems]
    usable = [sample for sample in samples if not sample.problems]
    if problems and not usable and allow:
        what = f"every image has problems. The first: {problems[0][1].what}"
        yield "empty", Problem(where, what, "repair the images or labels.")
    elif usable and split != "test" and not any(sample.labelled for sample in samples):
        what = f"no image has labels; they were looked for as {label_path(samples[0].image)} and so on."
        yield "unlabelled", Problem(where, what, "put images below images/, labels below labels/ beside it.")
    elif usable and split != "test" and (allow or not problems) and not any(sample.instances for sample in usable):
        yield "unlabelled", Problem(where, "no label file has a usable row.", "label the objects.")


def _leaks(train: list[Sample], val: list[Sample]) -> Iterator[Found]:
    """Yields the images that are in both splits."""
    fix = "take it out of one of them; a score on trained images says nothing."
    for image in sorted({sample.image for sample in train} & {sample.image for sample in val}):
        yield "leak", Problem(image, "the image is in train and in val.", fix)


def sample_images(dataset: Dataset, count: int) -> list[str]:
    """Returns some images of train and val, `count` of each at most, spread evenly over them."""
    found: list[str] = []
    for split in ("train", "val"):
        images = list_images(dataset.splits[split])
        found += images[:: max(1, math.ceil(len(images) / count))]
    return found
