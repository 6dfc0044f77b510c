"""A dataset, as `data.yaml` and its files tell it, and the two files that trials read instead of them.

Everything that can be wrong is found here, in seconds and without torch. A trial then reads a `data.yaml` of
absolute paths and an index of the labels, both in the study's folder: the dataset's own folder is only ever
read, no `download:` code runs, and no `labels.cache` (a pickle) is loaded or written.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune import labels
from yolotune.errors import Problem, UserError, did_you_mean, fail
from yolotune.labels import Found, Sample, capped, label_path, list_images
from yolotune.yamlio import read_yaml, write_atomic, write_yaml

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


def load_dataset(path: str | Path, *, allow_bad_labels: bool = False) -> Dataset:
    """Returns a dataset after looking at every image and label of it.

    Args:
        path: A `data.yaml`, or the name of one that Ultralytics ships (`coco8-seg.yaml`), its images on disk.
        allow_bad_labels: Leave images with problems out, as Ultralytics does, instead of refusing them.

    Raises:
        UserError: Everything that is wrong, at most `labels.SHOWN` problems of each kind.
    """
    file = _find_yaml(str(path))
    data = read_yaml(file)
    if not isinstance(data, dict):
        what = f"got a {type(data).__name__}, expected a map of train, val and names."
        raise fail(str(file), what, "see https://docs.ultralytics.com/datasets/segment")
    found: list[Found] = []
    names = _names(file, data, found)
    channels = data.get("channels", 3)
    if type(channels) is not int or channels < 1:
        what = f"got {channels!r}, expected a number of image channels."
        found.append(("channels", Problem(f"{file}: channels", what, "write 3 for colour, or remove it.")))
    root = _root(file, data)
    entries = {split: _entries(file, data, split, root, found) for split in SPLITS}
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
    return Dataset(
        yaml=file,
        names=names,
        channels=channels,
        **entries,
        images={split: len(part) for split, part in usable.items()},
        instances={split: sum(sample.instances for sample in part) for split, part in usable.items()},
        ignored={split: tuple(s.image for s in part if s.problems) for split, part in present.items()},
        fingerprint=labels.fingerprint(names, root, present),
    )


def _find_yaml(path: str) -> Path:
    """Returns the absolute path of a `data.yaml`, or of the one of that name inside Ultralytics."""
    if os.path.exists(path) or os.path.basename(path) != path:
        return Path(os.path.abspath(path))
    spec = importlib.util.find_spec("ultralytics")  # finds the package without importing it
    files = Path(spec.origin).parent.glob("cfg/datasets/*.yaml") if spec and spec.origin else ()
    shipped = {file.name: file for file in files}
    for name in (path, f"{path}.yaml"):
        if name in shipped:
            return shipped[name]
    what = "there is no such file, and Ultralytics ships no dataset of that name."
    raise fail(path, what + did_you_mean(path, shipped), "give the path of your data.yaml.")


def _names(file: Path, data: dict[str, Any], found: list[Found]) -> dict[int, str] | None:
    """Returns the class names by id, or None after noting what is wrong with them."""

    def wrong(key: str, what: str, fix: str) -> None:
        found.append(("names", Problem(f"{file}: {key}", what, fix)))

    names, nc = data.get("names"), data.get("nc")
    count = None
    if nc is not None:
        if str(nc).removesuffix(".0").isdecimal():
            count = int(float(nc))
        else:
            wrong("nc", f"got {nc!r}, expected the number of classes.", "correct or remove it.")
    if names is None and count:
        return {index: f"class_{index}" for index in range(count)}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        what = f"got {names!r}, expected a list of class names, or a map from class id to name."
        wrong("names", what, "name the classes, in the order of their ids in the labels.")
        return None
    ids = [int(key) if str(key).isdecimal() else -1 for key in names]
    if sorted(ids) != list(range(len(ids))):
        got = ", ".join(str(key) for key in names)[:80]
        wrong("names", f"got the class ids {got}, expected 0..{len(ids) - 1}.", "number them without gaps.")
        return None
    if count not in (None, len(ids)):
        wrong("names", f"{len(ids)} classes, but nc is {count}.", "make them agree, or remove nc.")
    for value in names.values():
        if not isinstance(value, (str, int, float)):
            wrong("names", f"got the name {value!r}, expected text.", "write one word or phrase per class.")
    return {index: str(value) for index, value in sorted(zip(ids, names.values(), strict=True))}


def _root(file: Path, data: dict[str, Any]) -> Path:
    """Returns the folder that the splits are relative to, as `check_det_dataset` finds it."""
    root = Path(str(data.get("path") or file.parent))
    if not root.exists() and not root.is_absolute():
        root = _datasets_dir() / root
    return root.resolve()


def _datasets_dir() -> Path:
    """Returns Ultralytics' folder of datasets from the user's settings, which are only read.

    Importing Ultralytics would create or rewrite them. Without settings it never ran, and downloaded nothing.
    """
    home = os.environ.get("YOLO_CONFIG_DIR") or os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    settings = Path(home).expanduser() / "Ultralytics" / "settings.json"
    try:
        return Path(json.loads(settings.read_text(encoding="utf-8"))["datasets_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return Path("datasets").absolute()


def _entries(file: Path, data: dict[str, Any], split: str, root: Path, found: list[Found]) -> tuple[str, ...]:
    """Returns a split's folders and lists as `check_det_dataset` resolves them, after noting what is wrong.

    An absent test split is no problem: the search never looks at it, and many datasets come without theirs.
    """
    written = data.get("validation" if split == "val" and "val" not in data else split)
    parts = [written] if isinstance(written, str) else written
    where = f"{file}: {split}"
    if not parts and split == "test":
        return ()
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        what = (
            f"got {written!r}, expected a folder of images, a text file that lists some, or a list of these."
        )
        found.append(("split", Problem(where, what, f"write {split}: images/{split}")))
        return ()
    entries = [(root / part).resolve() for part in parts]
    if isinstance(written, str) and written.startswith("../") and not entries[0].exists():
        entries = [(root / written[3:]).resolve()]  # Roboflow's exports mean the folder of the file
    missing = [str(entry) for entry in entries if not entry.exists()]
    if missing and split != "test":
        fix = f"correct {split}; it is relative to {root}."
        if data.get("download"):
            fix = "download it with Ultralytics or by hand first; yolotune never runs `download:` code."
        elif data.get("path"):
            fix = f"correct {split} or path; path starts at the working directory, or else {_datasets_dir()}."
        found.append(("split", Problem(where, f"there is no {', no '.join(missing)}.", fix)))
    return () if missing else tuple(str(entry) for entry in entries)


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
        return list(
            pool.map(functools.partial(labels.check_sample, nc=len(names) if names else None), images)
        )


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


@functools.cache
def indexed_dataset_class(index: Path | None) -> type[Any]:
    """Returns a `YOLODataset` that takes its labels from an index instead of scanning files.

    Args:
        index: A file that `build_index` wrote; None for Ultralytics' own class, which keeps a `labels.cache`.
    """
    from ultralytics.data.dataset import YOLODataset

    if index is None:
        return YOLODataset
    source = index

    class IndexedDataset(YOLODataset):
        """Neither reads label files nor touches `labels.cache`."""

        def get_labels(self) -> list[dict[str, Any]]:
            known, ignored = labels.read_index(source)
            unknown = [image for image in self.im_files if image not in known and image not in ignored]
            if unknown:
                what = (
                    f"the dataset changed since the study began: {len(unknown)} new images, as {unknown[0]}."
                )
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
