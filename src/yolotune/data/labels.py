"""Images and their label files: which there are, and what is wrong with them.

The rules are those of `verify_image_label` and `get_img_files` in `ultralytics/data/`, known here without
importing them. Three are stricter, because Ultralytics trains on what they refuse, or fails late: a box
instead of a polygon, a polygon of fewer than 3 points, and a point outside the image (Ultralytics tests only
the polygon's box).
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from yolotune.data.content import mistaken
from yolotune.data.polygons import measure
from yolotune.errors import Problem, fail

IMG_FORMATS = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
#: Ultralytics takes coordinates that leave the image by this share of its side.
SLACK = 0.01
#: Pixels; Ultralytics ignores smaller images.
MIN_SIDE = 10
#: A problem and its kind; many of a kind are told as one.
Found = tuple[str, Problem]
#: Kind, what and fix of a problem.
Wrong = tuple[str, str, str]


@dataclass(frozen=True)
class Sample:
    """One image with its label file.

    Attributes:
        image: Absolute path.
        size: Of the image file, in bytes.
        modified: When the image file was written, in ns since 1970.
        pixels: Width and height; zeros where the image cannot be read.
        labelled: Whether there is a label file; without one the image is background.
        digest: sha256 of the label file, or nothing.
        objects: The distinct objects, as Ultralytics drops duplicate rows: an array `(n, 6)` of `polygons.measure`.
        repeated: Lines of the label file that repeat an earlier one.
        problems: Everything wrong with image and labels.
    """

    image: str
    size: int
    modified: int
    pixels: tuple[int, int]
    labelled: bool
    digest: str
    objects: np.ndarray
    repeated: tuple[int, ...]
    problems: tuple[Found, ...]

    @property
    def instances(self) -> int:
        """Number of distinct objects."""
        return len(self.objects)


def list_images(entries: Iterable[str]) -> list[str]:
    """Returns the absolute paths of all images of a split, sorted as Ultralytics sorts them.

    Args:
        entries: Folders, searched with everything below them, and text files that list one image per line.

    Raises:
        UserError: A list is not text.
    """
    found: list[str] = []
    for entry in entries:
        if os.path.isdir(entry):
            found += glob.glob(os.path.join(glob.escape(entry), "**", "*.*"), recursive=True)
        else:
            found += _read_list(Path(entry))
    return sorted(image for image in found if image.rpartition(".")[-1].lower() in IMG_FORMATS)


def _read_list(path: Path) -> list[str]:
    """Returns the images of a list; `./` is the list's folder, other paths start at the working directory."""
    try:
        lines = path.read_text(encoding="utf-8-sig").strip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fix = "name a folder of images, or a UTF-8 text file with one image path per line."
        raise fail(str(path), f"cannot be read as a list of images: {error}.", fix) from error
    return [os.path.abspath(path.parent / line if line.startswith("./") else line) for line in lines if line]


def label_path(image: str) -> str:
    """Returns where Ultralytics looks for an image's labels: the last `/images/` becomes `/labels/`."""
    images, labels = f"{os.sep}images{os.sep}", f"{os.sep}labels{os.sep}"
    return labels.join(image.rsplit(images, 1)).rsplit(".", 1)[0] + ".txt"


def check_sample(image: str, nc: int | None) -> Sample:
    """Returns one image with everything that is wrong with it and its labels.

    Args:
        image: Absolute path.
        nc: Number of classes; None where `data.yaml` does not tell.
    """
    pixels, found = _look_at(image)
    status = os.stat(image) if os.path.exists(image) else None
    label = label_path(image)
    rows: list[tuple[int, np.ndarray]] = []
    repeated: list[int] = []
    digest, labelled = "", True
    try:
        content = Path(label).read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        labelled = False
    except (OSError, UnicodeDecodeError) as error:
        fix = "make it a UTF-8 text file that can be read."
        found.append(("label", Problem(label, f"the labels cannot be read: {error}.", fix)))
    else:
        digest = hashlib.sha256(content).hexdigest()
        rows, repeated, wrong = _read_rows(lines, nc)
        found += [(kind, Problem(f"{label}:{number}", what, fix)) for number, (kind, what, fix) in wrong]
    return Sample(
        image=image,
        size=status.st_size if status else 0,
        modified=status.st_mtime_ns if status else 0,
        pixels=pixels,
        labelled=labelled,
        digest=digest,
        objects=measure(rows),
        repeated=tuple(repeated),
        problems=tuple(found),
    )


def _read_rows(
    lines: Iterable[str], nc: int | None
) -> tuple[list[tuple[int, np.ndarray]], list[int], list[tuple[int, Wrong]]]:
    """Returns the distinct good rows of a label file by line, lines that repeat one, and what is wrong by line."""
    rows: dict[bytes, tuple[int, np.ndarray]] = {}
    repeated: list[int] = []
    wrong: list[tuple[int, Wrong]] = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        try:
            row = np.array(fields, dtype=np.float64)
            problems = list(_row_problems(row, nc))
        except ValueError as error:
            fix = "write class x1 y1 x2 y2 x3 y3 ..., all of them numbers."
            problems = [("number", f"not a number: {error}.", fix)]
        wrong += [(number, problem) for problem in problems]
        if problems:
            continue
        if rows.setdefault(row.astype(np.float32).tobytes(), (number, row))[0] != number:
            repeated.append(number)
    return list(rows.values()), repeated, wrong


def _row_problems(values: np.ndarray, nc: int | None) -> Iterator[Wrong]:
    """Yields kind, what and fix of everything wrong with one label row `(class, x1, y1, ...)`."""
    label, points = values[0], values[1:]
    if not (label >= 0 and label % 1 == 0):
        fix = "write the class's number from data.yaml."
        yield "class", f"class id {label:g}, expected an integer from 0.", fix
    elif nc is not None and label >= nc:
        what = f"class id {label:.0f}, but data.yaml has {nc} classes, expected 0..{nc - 1}."
        yield "nc", what, "correct the class id, or add the name to data.yaml."
    if len(points) == 4:
        fix = "export the labels as polygons: class x1 y1 x2 y2 x3 y3 ..."
        yield "box", "a box (5 columns), not a polygon; segmentation needs polygons.", fix
    elif len(points) % 2:
        what = f"an odd number of coordinates: got {len(points)}, expected pairs of x and y."
        yield "odd", what, "complete or remove the row."
    elif len(points) < 6:
        fix = "give the polygon 3 points or more, or remove the row."
        yield "points", f"a polygon of {len(points) // 2} points, expected 3 or more.", fix
    outside = np.flatnonzero(~((points >= -SLACK) & (points <= 1 + SLACK)))  # NaN is outside too
    fix = "divide x by the image's width and y by its height, and clip the polygon to the image."
    if len(outside):
        what = f"coordinate {outside[0] + 1} of {len(points)} is {points[outside[0]]:g}, expected 0..1."
        yield "range", what, fix
    elif len(points) >= 6 and max(np.ptp(points[::2]), np.ptp(points[1::2])) > 1 + SLACK:
        yield "range", "the polygon is larger than the image.", fix


def _look_at(image: str) -> tuple[tuple[int, int], list[Found]]:
    """Returns an image's width and height, and what would make Ultralytics ignore it, or rewrite its file."""
    try:
        with Image.open(image) as opened:
            opened.verify()
            kind, size = str(opened.format).lower(), opened.size
    except FileNotFoundError:
        fix = "correct the list; ./ is the list's folder, other paths start at the working directory."
        return (0, 0), [("missing", Problem(image, "the image does not exist.", fix))]
    except Exception as error:  # Pillow's plugins raise SyntaxError, struct.error and many more
        what, fix = _why_unreadable(image, error)
        return (0, 0), [("image", Problem(image, f"not a readable image: {what}", fix))]
    found: list[Found] = []
    if min(size) < MIN_SIDE:
        what = f"{size[0]} x {size[1]} px, expected at least {MIN_SIDE} x {MIN_SIDE}."
        found.append(("small", Problem(image, what, "remove the image, or use a larger one.")))
    if kind not in IMG_FORMATS | {"jpeg2000"}:
        fix = f"use one of {', '.join(sorted(IMG_FORMATS))}."
        found.append(("format", Problem(image, f"a file of format {kind}.", fix)))
    if kind in ("jpg", "jpeg") and not _ends_as_jpeg(image):
        what = "a truncated JPEG (no end marker FFD9), which Ultralytics would overwrite in place."
        found.append(("truncated", Problem(image, what, "copy the file again, or open and save it as a JPEG.")))
    return size, found


def _why_unreadable(image: str, error: Exception) -> tuple[str, str]:
    """Returns what is wrong with a file that Pillow cannot read, and the fix."""
    if isinstance(error, IsADirectoryError):
        return "it is a folder.", "rename the folder."
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}.", "make the file readable."
    if found := mistaken(image):
        return found
    if isinstance(error, (ImportError, UnidentifiedImageError)):
        # Ultralytics, once imported, has Pillow try HEIC on whatever it does not know
        with open(image, "rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                return "HEIC or AVIF, for which a library is missing.", "pip install pi-heif, or save it as JPEG."
        return "in no format that is known.", "replace or remove the file."
    return f"{str(error).rstrip('.')}.", "replace or remove the file."


def _ends_as_jpeg(image: str) -> bool:
    with open(image, "rb") as file:
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"


def fingerprint(names: Mapping[int, str], root: Path, samples: Mapping[str, Iterable[Sample]]) -> str:
    """Returns a sha256 over classes, images and labels that does not change when the dataset moves."""
    lines = [f"class\0{index}\0{name}" for index, name in names.items()]
    for split, part in samples.items():
        relative = ((Path(os.path.relpath(sample.image, root)).as_posix(), sample) for sample in part)
        lines += sorted(f"{split}\0{path}\0{sample.size}\0{sample.digest}" for path, sample in relative)
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
