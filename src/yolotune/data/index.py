"""What the trials of a study read instead of the dataset's own files: a resolved `data.yaml` and an index of labels.

Both are written into the study's folder before the first trial. So a trial neither depends on its working directory and
on Ultralytics' settings, nor reads label files, nor loads or writes a `labels.cache` (a pickle).
"""

from __future__ import annotations

import functools
import io
import os
import random
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from yolotune._yaml import write_atomic, write_yaml
from yolotune.data.dataset import Dataset
from yolotune.data.findings import grouped
from yolotune.data.images import ImageStore, store_path
from yolotune.data.labels import label_path, list_images
from yolotune.errors import Problem, UserError, fail

#: Of the file format.
INDEX_VERSION = 1
#: Share of an epoch that the train metrics may cost, where training on an image costs as much as evaluating two.
MEASURED = 0.1


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
        raise UserError(one.problem() for one in grouped(refused))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"labels-{split}.npz"
    write_index(path, known, dataset.ignored[split])
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
    from ultralytics.utils import LOGGER

    class IndexedDataset(YOLODataset):
        """Neither reads label files nor touches `labels.cache`."""

        im_files: list[str]
        store: ImageStore | None = None

        def get_labels(self) -> list[dict[str, Any]]:
            known, ignored = read_index(index)
            unknown = [image for image in self.im_files if image not in known and image not in ignored]
            if unknown:
                what = f"the dataset changed since the study began: {len(unknown)} new images, as {unknown[0]}."
                raise fail(str(index), what, "put the dataset back as it was, or start a new study.")
            self.im_files = [image for image in self.im_files if image in known]
            if not self.im_files:
                raise fail(str(index), "every image of this fraction has problems.", "raise `fraction`.")
            self.get_label_files()
            chosen = [dict(known[image]) for image in self.im_files]
            self.verify_labels(chosen, index)
            self.shapes = {image: label["shape"] for image, label in known.items()}
            return chosen

        def share_images(self, folder: Path) -> None:
            """Reads and writes the decoded images of a folder; where that cannot be, this training decodes its own."""
            try:
                path = store_path(folder, f"{index.stem}-{self.imgsz}")
                self.store = ImageStore(path, self.shapes, self.imgsz, self.channels)
            except OSError as error:
                LOGGER.warning(f"{self.prefix}images are not shared: {error}")

        def load_image(
            self, i: int, rect_mode: bool = True, resize_short: bool = False
        ) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
            """Returns what Ultralytics' own would, and keeps it for mosaics as that does, but decodes it only once."""
            if self.store is None or self.ims[i] is not None or not rect_mode or resize_short:
                return super().load_image(i, rect_mode, resize_short)  # type: ignore[no-any-return]
            image = self.im_files[i]
            stored = self.store.read(image)
            if stored is None:
                decoded = super().load_image(i)
                self.store.write(image, *decoded[:2])
                stored = self.store.read(image)
                if stored is None:
                    return decoded  # type: ignore[no-any-return]
                if self.ims[i] is not None:
                    self.ims[i] = stored[0]
            elif self.augment:
                self.ims[i], self.im_hw0[i], self.im_hw[i] = *stored, stored[0].shape[:2]
                self.buffer.append(i)
                if 1 < len(self.buffer) >= self.max_buffer_length:
                    oldest = self.buffer.pop(0)
                    self.ims[oldest], self.im_hw0[oldest], self.im_hw[oldest] = None, None, None
            return *stored, stored[0].shape[:2]

        def __reduce__(self) -> tuple[Any, ...]:
            # loader workers that are not forked unpickle the dataset; they cannot import a function's class
            return _blank, (index,), self.__dict__

    return IndexedDataset


def _blank(index: Path) -> Any:
    """Returns an `IndexedDataset` without its state, for pickle."""
    return object.__new__(indexed_dataset_class(index))


def write_index(path: Path, labels: Sequence[Mapping[str, Any]], ignored: Sequence[str]) -> None:
    """Writes labels as plain arrays, which load without pickle: nothing in the file can run.

    Args:
        path: The `.npz` file; its folder exists.
        labels: Ultralytics' label of each image, polygons included.
        ignored: Images that are left out of training.
    """
    segments = [segment for label in labels for segment in label["segments"]]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.array(INDEX_VERSION),
        im_files=np.array([label["im_file"] for label in labels], dtype=np.str_),
        shapes=np.array([label["shape"] for label in labels], dtype=np.int64).reshape(-1, 2),
        rows=np.array([len(label["cls"]) for label in labels], dtype=np.int64),
        cls=np.concatenate([np.zeros((0, 1), np.float32), *(label["cls"] for label in labels)]),
        bboxes=np.concatenate([np.zeros((0, 4), np.float32), *(label["bboxes"] for label in labels)]),
        lengths=np.array([len(segment) for segment in segments], dtype=np.int64),
        points=np.concatenate([np.zeros((0, 2), np.float32), *segments]),
        ignored=np.array(list(ignored), dtype=np.str_),
    )
    write_atomic(path, buffer.getvalue())


def read_index(path: Path) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """Returns Ultralytics' label by image path, and the images left out.

    Raises:
        UserError: The file is missing, damaged, or of another version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if int(arrays["version"]) != INDEX_VERSION:
            raise ValueError(f"version {arrays['version']}, expected {INDEX_VERSION}")
        return _labels(arrays), frozenset(arrays["ignored"].tolist())
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        fix = "delete it; it is rebuilt when the study is resumed."
        raise fail(str(path), f"the label index cannot be read: {error}.", fix) from error


def _labels(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Returns the labels that `write_index` took apart."""
    ends = np.cumsum(arrays["lengths"]).tolist()
    segments = [arrays["points"][start:end] for start, end in zip([0, *ends], ends, strict=False)]
    labels: dict[str, dict[str, Any]] = {}
    start = 0
    for image, shape, rows in zip(
        arrays["im_files"].tolist(), arrays["shapes"].tolist(), arrays["rows"].tolist(), strict=True
    ):
        part = slice(start, start + rows)
        labels[image] = {
            "im_file": image,
            "shape": tuple(shape),
            "cls": arrays["cls"][part],
            "bboxes": arrays["bboxes"][part],
            "segments": segments[part],
            "keypoints": None,
            "normalized": True,
            "bbox_format": "xywh",
        }
        start += rows
    return labels
