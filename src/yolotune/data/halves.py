"""Files that Ultralytics never sees: labels without an image, images of a type that it passes over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from yolotune.data.findings import Finding, Level
from yolotune.data.labels import IMG_FORMATS, Sample, label_path

#: Ends of names of images that Ultralytics passes over.
PASSED_OVER = frozenset(
    {"arw", "cr2", "cr3", "exr", "gif", "hdr", "ico", "jfif", "jpe", "jxl", "nef", "npy", "orf", "pbm", "pgm", "pic"}
    | {"pnm", "ppm", "psd", "raw", "svg", "tga"}
)
#: Text files that programs for labelling put beside labels.
NO_LABELS = frozenset({"classes", "labels", "license", "names", "notes", "obj", "predefined_classes", "readme"})


def unseen(samples: Mapping[str, Sequence[Sample]], shown: Callable[[str], str]) -> Iterator[Finding]:
    """Yields the files in the dataset's folders that no training reads.

    Args:
        samples: All images by split.
        shown: Shortens a path for the reader.
    """
    images = {sample.image for part in samples.values() for sample in part}
    folders = sorted({os.path.dirname(image) for image in images})
    orphans: list[str] = []
    foreign: list[str] = []
    for folder in folders:
        files = _files(folder)
        foreign += [str(file) for file in files if _ending(file) in PASSED_OVER]
        known = {file.stem for file in files if _ending(file) in IMG_FORMATS | PASSED_OVER}
        labels = Path(label_path(os.path.join(folder, "x.png"))).parent
        orphans += [
            str(file)
            for file in _files(str(labels))
            if _ending(file) == "txt" and file.stem not in known and file.stem.casefold() not in NO_LABELS
        ]
    if orphans:
        several = "1 label file has" if len(orphans) == 1 else f"{len(orphans):,} label files have"
        what = f"{several} no image: {shown(orphans[0])}."
        fix = "add the image, or correct the name; capitals count."
        yield _finding("label-without-image", orphans, what, fix, shown)
    if foreign:
        several = "1 file is" if len(foreign) == 1 else f"{len(foreign):,} files are"
        what = f"{several} of a type that Ultralytics passes over: {shown(foreign[0])}."
        yield _finding("passed-over", foreign, what, "save it as PNG or JPEG if it belongs to the dataset.", shown)


def _finding(kind: str, files: Sequence[str], what: str, fix: str, shown: Callable[[str], str]) -> Finding:
    where = shown(os.path.dirname(files[0]))
    return Finding(Level.WARNING, kind, where, what, fix, len(files), tuple(shown(file) for file in files))


def _files(folder: str) -> list[Path]:
    """Returns the files of a folder; none where it is missing or closed."""
    try:
        return [Path(folder, name) for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _ending(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")
