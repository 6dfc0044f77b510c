"""`data.yaml`: found, read and resolved as Ultralytics' `check_det_dataset` does, but without running anything."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from yolotune.config.isolation import user_settings_folder
from yolotune.data.labels import Found
from yolotune.errors import Problem, did_you_mean, fail


def find_yaml(path: str) -> Path:
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


def class_names(file: Path, data: dict[str, Any], found: list[Found]) -> dict[int, str] | None:
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


def image_channels(file: Path, data: dict[str, Any], found: list[Found]) -> int:
    """Returns the number of image channels, after noting what is wrong with it."""
    channels = data.get("channels", 3)
    if type(channels) is int and channels >= 1:
        return channels
    what = f"got {channels!r}, expected a number of image channels."
    found.append(("channels", Problem(f"{file}: channels", what, "write 3 for colour, or remove it.")))
    return 3


def dataset_root(file: Path, data: dict[str, Any]) -> Path:
    """Returns the folder that the splits are relative to, as `check_det_dataset` finds it."""
    root = Path(str(data.get("path") or file.parent))
    if not root.exists() and not root.is_absolute():
        root = datasets_dir() / root
    return root.resolve()


def datasets_dir() -> Path:
    """Returns Ultralytics' folder of datasets from the user's settings, which are only read.

    Importing Ultralytics would create or rewrite them. Without settings it never ran, and downloaded nothing.
    """
    settings = user_settings_folder() / "settings.json"
    try:
        return Path(json.loads(settings.read_text(encoding="utf-8"))["datasets_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return Path("datasets").absolute()


def split_entries(file: Path, data: dict[str, Any], split: str, root: Path, found: list[Found]) -> tuple[str, ...]:
    """Returns a split's folders and lists as `check_det_dataset` resolves them, after noting what is wrong.

    An absent test split is no problem: the search never looks at it, and many datasets come without theirs.
    """
    written = data.get("validation" if split == "val" and "val" not in data else split)
    parts = [written] if isinstance(written, str) else written
    where = f"{file}: {split}"
    if not parts and split == "test":
        return ()
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        what = f"got {written!r}, expected a folder of images, a text file that lists some, or a list of these."
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
        elif data.get("path") and all((file.parent / part).exists() for part in parts):
            fix = f"remove `path:` from {file.name}; what it names lies beside that file, where it is looked for then."
        elif data.get("path"):
            fix = f"correct {split} or path; path starts at the working directory, or else {datasets_dir()}."
        found.append(("split", Problem(where, f"there is no {', no '.join(missing)}.", fix)))
    return () if missing else tuple(str(entry) for entry in entries)
