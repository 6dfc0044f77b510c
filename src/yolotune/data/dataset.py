"""A dataset, as `data.yaml` and its files tell it, and the two files that trials read instead of them.

Everything that can be wrong is found here, in seconds and without torch. A trial then reads a `data.yaml` of
absolute paths and an index of the labels, both in the study's folder: the dataset's own folder is only ever
read, no `download:` code runs, and no `labels.cache` (a pickle) is loaded or written.
"""

from __future__ import annotations

import functools
import math
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from yolotune._yaml import read_yaml, write_atomic, write_yaml
from yolotune.data import labels
from yolotune.data.data_yaml import class_names, dataset_root, find_yaml, split_entries
from yolotune.data.labels import Found, Sample, capped, label_path, list_images
from yolotune.errors import Problem, UserError, fail

SPLITS = ("train", "val", "test")
#: Share of an epoch that the train metrics may cost, where training on an image costs as much as evaluating two
#: (benchmarks/profile_trial.py).
MEASURED = 0.1


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
        instances: Number of labelled objects in them by split.
        ignored: Images left out of training by split; empty unless bad labels were allowed.
        fingerprint: sha256 of class names, relative image paths, image sizes and labels; survives a move.
        areas: The 10, 50 and 90 % quantiles of the training objects' box areas, as shares of their image, 0..1.
        side: Of the training images in pixels: the square root of width times height, median.
    """

    yaml: Path
    names: dict[int, str]
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    channels: int
    images: dict[str, int]
    instances: dict[str, int]
    ignored: dict[str, tuple[str, ...]]
    fingerprint: str
    areas: tuple[float, float, float]
    side: float

    @property
    def nc(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """Folders and image lists by split, without absent splits."""
        return {split: entries for split in SPLITS if (entries := getattr(self, split))}


def load_dataset(path: str | Path, *, allow_bad_labels: bool = False) -> Dataset:
    """Returns a dataset after looking at every image and label of it.

    Args:
        path: A `data.yaml`, or the name of one that Ultralytics ships (`coco8-seg.yaml`), its images on disk.
        allow_bad_labels: Leave images with problems out, as Ultralytics does, instead of refusing them.

    Raises:
        UserError: Everything that is wrong, at most `labels.SHOWN` problems of each kind.
    """
    file = find_yaml(str(path))
    data = read_yaml(file)
    if not isinstance(data, dict):
        what = f"got a {type(data).__name__}, expected a map of train, val and names."
        raise fail(str(file), what, "see https://docs.ultralytics.com/datasets/segment")
    found: list[Found] = []
    names = class_names(file, data, found)
    channels = data.get("channels", 3)
    if type(channels) is not int or channels < 1:
        what = f"got {channels!r}, expected a number of image channels."
        found.append(("channels", Problem(f"{file}: channels", what, "write 3 for colour, or remove it.")))
    root = dataset_root(file, data)
    entries = {split: split_entries(file, data, split, root, found) for split in SPLITS}
    samples = {split: _samples(entries[split], names, found) for split in SPLITS}
    for split in SPLITS:
        found += _split_problems(f"{file}: {split}", split, samples[split], allow_bad_labels)
    fix = "take it out of one of them; a score on trained images says nothing."
    in_train, in_val = ({sample.image for sample in samples[split]} for split in ("train", "val"))
    for image in sorted(in_train & in_val):
        found.append(("leak", Problem(image, "the image is in train and in val.", fix)))
    if found or names is None:
        raise UserError(capped(found, str(file)))
    present = {split: samples[split] for split in SPLITS if entries[split]}
    usable = {split: [sample for sample in part if not sample.problems] for split, part in present.items()}
    areas, side = _sizes(usable["train"])
    return Dataset(
        yaml=file,
        names=names,
        channels=channels,
        **entries,
        images={split: len(part) for split, part in usable.items()},
        instances={split: sum(sample.instances for sample in part) for split, part in usable.items()},
        ignored={split: tuple(s.image for s in part if s.problems) for split, part in present.items()},
        fingerprint=labels.fingerprint(names, root, present),
        areas=areas,
        side=side,
    )


def _sizes(samples: list[Sample]) -> tuple[tuple[float, float, float], float]:
    """Returns the sizes of the training objects and images, as `Dataset.areas` and `Dataset.side` have them."""
    low, middle, high = np.quantile([area for sample in samples for area in sample.areas], (0.1, 0.5, 0.9)).tolist()
    sides = [math.sqrt(sample.shape[0] * sample.shape[1]) for sample in samples if sample.shape]
    return (low, middle, high), float(np.median(sides))


def with_val_trained(dataset: Dataset) -> Dataset:
    """Returns the dataset whose training split has the validation split in it too; that stays as it is."""
    return replace(
        dataset,
        train=(*dataset.train, *dataset.val),
        images={**dataset.images, "train": dataset.images["train"] + dataset.images["val"]},
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


def _split_problems(where: str, split: str, samples: list[Sample], allow: bool) -> Iterator[Found]:
    """Yields the problems of a split's images, and what is wrong with the split as a whole."""
    problems = [found for sample in samples for found in sample.problems]
    if not allow:
        yield from problems
    usable = [sample for sample in samples if not sample.problems]
    if problems and not usable and allow:
        what = f"every image has problems. The first: {problems[0][1].what}"
        yield "empty", Problem(where, what, "mend the images or labels.")
    elif usable and split != "test" and not any(sample.labelled for sample in samples):
        what = f"no image has labels; they were looked for as {label_path(samples[0].image)} and so on."
        yield "unlabelled", Problem(where, what, "put images below images/, labels below labels/ beside it.")
    elif usable and split != "test" and not any(sample.instances for sample in samples):
        yield "unlabelled", Problem(where, "no label file has a usable row.", "label the objects.")


def sample_images(dataset: Dataset, count: int) -> list[str]:
    """Returns some images of train and val, `count` of each at most, spread evenly over them."""
    found: list[str] = []
    for split in ("train", "val"):
        images = list_images(dataset.splits[split])
        found += images[:: max(1, math.ceil(len(images) / count))]
    return found


def write_resolved(dataset: Dataset, folder: Path) -> Path:
    """Writes the `data.yaml` that trials read, and returns its path.

    Its paths are absolute, so neither the trial's working directory nor Ultralytics' settings play a part.
    Lists of images are written out for the same reason. There is no `download`.

    Args:
        dataset: The dataset.
        folder: A folder of the study, made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {}
    for split, entries in dataset.splits.items():
        data[split] = list(entries) if len(entries) > 1 else entries[0]
        if not all(os.path.isdir(entry) for entry in entries):
            written = folder.absolute() / f"{split}.txt"
            write_atomic(written, "".join(f"{image}\n" for image in list_images(entries)).encode())
            data[split] = str(written)
    data |= {"names": dataset.names, "channels": dataset.channels}
    path = folder / "data.yaml"
    write_yaml(path, data, f"{dataset.yaml} as the trials of this study read it")
    return path


def build_index(dataset: Dataset, split: str, folder: Path) -> Path:
    """Writes a split's labels as Ultralytics would train on them, and returns the file `labels-<split>.npz`.

    Args:
        dataset: The dataset.
        split: `train`, `val` or `test`.
        folder: A folder of the study, made if need be.

    Raises:
        UserError: Ultralytics refuses an image that `load_dataset` took: the file changed in between.
    """
    from ultralytics.data.utils import verify_image_label

    ignored = set(dataset.ignored[split])
    images = [image for image in list_images(dataset.splits[split]) if image not in ignored]
    with ThreadPoolExecutor() as pool:
        tasks = ((image, label_path(image), "", False, dataset.nc, 0, 0, False) for image in images)
        results = list(pool.map(verify_image_label, tasks))
    known, refused = [], []
    for image, (_, rows, shape, segments, *_, message) in zip(images, results, strict=True):
        if rows is None or len(rows) != len(segments):
            problem = Problem(image, message or "boxes, not polygons.", "check the dataset again.")
            refused.append(("refused", problem))
            continue
        cls, bboxes = rows[:, :1], rows[:, 1:]
        known.append({"im_file": image, "shape": shape, "cls": cls, "bboxes": bboxes, "segments": segments})
    if refused:
        raise UserError(capped(refused, str(dataset.yaml)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"labels-{split}.npz"
    labels.write_index(path, known, dataset.ignored[split])
    return path


def write_train_subset(dataset: Dataset, folder: Path, *, fraction: float = 1.0, seed: int = 0) -> Path:
    """Writes the list of training images on which the train metrics are measured.

    They are as many as the val split has, but no more than a tenth of what an epoch costs (`MEASURED`), and 16 of a
    dataset for which that would be fewer.

    Args:
        dataset: The dataset.
        folder: A folder of the study; the file is `train-subset.txt`.
        fraction: Ultralytics' `fraction`: the share (up to 1.0) or number of images that are trained on.
        seed: Of the choice.
    """
    ignored = set(dataset.ignored["train"])
    images = list_images(dataset.train)
    count = fraction if isinstance(fraction, int) else max(1, round(len(images) * fraction))
    trained = [image for image in images[:count] if image not in ignored]
    affordable = max(16, int(MEASURED * (2 * len(trained) + dataset.images["val"])))
    chosen = sorted(random.Random(seed).sample(trained, min(len(trained), dataset.images["val"], affordable)))
    path = folder / "train-subset.txt"
    write_atomic(path, "".join(f"{image}\n" for image in chosen).encode())
    return path


@functools.cache
def indexed_dataset_class(index: Path) -> type[Any]:
    """Returns a `YOLODataset` that takes its labels from an index instead of scanning files.

    Args:
        index: A file that `build_index` wrote.
    """
    from ultralytics.data.dataset import YOLODataset

    if index is None:
        return YOLODataset
    source = index

    class IndexedDataset(YOLODataset):
        """Neither reads label files nor touches `labels.cache`."""

        im_files: list[str]

        def get_labels(self) -> list[dict[str, Any]]:
            known, ignored = labels.read_index(source)
            unknown = [image for image in self.im_files if image not in known and image not in ignored]
            if unknown:
                what = f"the dataset changed since the study began: {len(unknown)} new images, as {unknown[0]}."
                raise fail(str(source), what, "put the dataset back as it was, or start a new study.")
            self.im_files = [image for image in self.im_files if image in known]
            if not self.im_files:
                raise fail(str(source), "every image of this fraction has problems.", "raise `fraction`.")
            self.get_label_files()
            chosen = [dict(known[image]) for image in self.im_files]
            self.verify_labels(chosen, source)
            return chosen

        def __reduce__(self) -> tuple[Any, ...]:
            # loader workers that are not forked unpickle the dataset; they cannot import a function's class
            return _blank, (source,), self.__dict__

    return IndexedDataset


def _blank(index: Path) -> Any:
    """Returns an `IndexedDataset` without its state, for pickle."""
    return object.__new__(indexed_dataset_class(index))
