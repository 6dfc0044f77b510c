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
from PIL import Image

from yolotune.errors import Problem, fail

IMG_FORMATS = frozenset(
    {"avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp"}
)
#: Ultralytics takes coordinates that leave the image by this share of its side.
SLACK = 0.01
#: Pixels; Ultralytics ignores smaller images.
MIN_SIDE = 10
#: Problems shown of each kind; a thousand equal lines would hide the other kinds.
SHOWN = 20

#: A problem and its kind; only so many of a kind are shown.
Found = tuple[str, Problem]


@dataclass(frozen=True)
class Sample:
    """One image with its label file.

    Attributes:
        image: Absolute path.
        size: Of the image file, in bytes.
        pixels: Height and width as in the file, not yet turned by EXIF; None where it cannot be read.
        labelled: Whether there is a label file; without one the image is background.
        digest: sha256 of the label file, or nothing.
        instances: Number of distinct objects, as Ultralytics drops duplicate rows.
        problems: Everything wrong with image and labels.
    """

    image: str
    size: int
    pixels: tuple[int, int] | None
    labelled: bool
    digest: str
    instances: int
    problems: tuple[Found, ...]


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
    pixels, found = _check_image(image)
    size = os.stat(image).st_size if os.path.exists(image) else 0
    label = label_path(image)
    try:
        content = Path(label).read_bytes()
        lines = content.decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return Sample(image, size, pixels, False, "", 0, tuple(found))
    except (OSError, UnicodeDecodeError) as error:
        fix = "make it a UTF-8 text file that can be read."
        found.append(("label", Problem(label, f"the labels cannot be read: {error}.", fix)))
        return Sample(image, size, pixels, True, "", 0, tuple(found))
    distinct: set[bytes] = set()
    for number, line in enumerate(lines, 1):
        fields = line.split()
        try:
            row = np.array(fields, dtype=np.float64)
            problems = list(_row_problems(row, nc)) if fields else []
        except ValueError as error:
            problems = [
                ("number", f"not a number: {error}.", "write class x1 y1 x2 y2 x3 y3 ..., all of them numbers.")
            ]
        found += [(kind, Problem(f"{label}:{number}", what, fix)) for kind, what, fix in problems]
        if fields and not problems:
            distinct.add(row.astype(np.float32).tobytes())
    digest = hashlib.sha256(content).hexdigest()
    return Sample(image, size, pixels, True, digest, len(distinct), tuple(found))


def _row_problems(values: np.ndarray, nc: int | None) -> Iterator[tuple[str, str, str]]:
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


def _check_image(image: str) -> tuple[tuple[int, int] | None, list[Found]]:
    """Returns height and width of an image, and what would make Ultralytics ignore it or rewrite its file."""
    try:
        with Image.open(image) as opened:
            opened.verify()
            kind, (width, height) = str(opened.format).lower(), opened.size
    except FileNotFoundError:
        fix = "correct the list; ./ is the list's folder, other paths start at the working directory."
        return None, [("missing", Problem(image, "the image does not exist.", fix))]
    except Exception as error:  # Pillow's plugins raise SyntaxError, struct.error and many more
        fix = "replace or remove the file."
        return None, [("image", Problem(image, f"not a readable image: {error}.", fix))]
    found: list[Found] = []
    if min(width, height) < MIN_SIDE:
        what = f"{width} x {height} px, expected at least {MIN_SIDE} x {MIN_SIDE}."
        found.append(("small", Problem(image, what, "remove the image, or use a larger one.")))
    if kind not in IMG_FORMATS | {"jpeg2000"}:
        fix = f"use one of {', '.join(sorted(IMG_FORMATS))}."
        found.append(("format", Problem(image, f"a file of format {kind}.", fix)))
    if kind in ("jpg", "jpeg") and not _ends_as_jpeg(image):
        what = "a truncated JPEG (no end marker FFD9), which Ultralytics would overwrite in place."
        fix = "copy the file again, or open and save it as a JPEG."
        found.append(("truncated", Problem(image, what, fix)))
    return (height, width), found


def _ends_as_jpeg(image: str) -> bool:
    with open(image, "rb") as file:
        file.seek(-2, os.SEEK_END)
        return file.read() == b"\xff\xd9"


def capped(found: Iterable[Found], where: str) -> list[Problem]:
    """Returns the problems kind by kind, the first `SHOWN` of each and the number of the others."""
    kinds: dict[str, list[Problem]] = {}
    for kind, problem in found:
        kinds.setdefault(kind, []).append(problem)
    shown: list[Problem] = []
    for problems in kinds.values():
        shown += problems[:SHOWN]
        if len(problems) > SHOWN:
            shown.append(Problem(where, f"… and {len(problems) - SHOWN} more like the last.", problems[SHOWN].fix))
    return shown


def fingerprint(names: Mapping[int, str], root: Path, samples: Mapping[str, Iterable[Sample]]) -> str:
    """Returns a sha256 over classes, images and labels that does not change when the dataset moves."""
    lines = [f"class\0{index}\0{name}" for index, name in names.items()]
    for split, part in samples.items():
        relative = ((Path(os.path.relpath(sample.image, root)).as_posix(), sample) for sample in part)
        lines += sorted(f"{split}\0{path}\0{sample.size}\0{sample.digest}" for path, sample in relative)
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()
