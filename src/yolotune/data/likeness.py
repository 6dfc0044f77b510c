"""Images of different splits that show the same: byte by byte, or saved anew.

Whatever of a validation image was trained on makes its score too high. Images are compared in two steps. A perceptual
hash of 256 bits finds candidates among all pairs; then the fine detail of both is compared, because the shots of a
fixed camera share a hash, though not their detail. docs/data.md has what was measured on four real datasets: unrelated
photographs are 82 bits and more apart, and the detail of a fixed camera's shots correlates by 0.92 at most.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from yolotune._yaml import write_atomic
from yolotune.data.labels import Sample

#: Side of the hash; it has as many bits as its square.
HASH_SIDE = 16
#: Bits by which images may differ that are compared in detail.
CANDIDATES = 16
#: Closest images of another split that each image is compared with in detail.
CLOSEST = 3
#: Side in pixels of the grey images whose detail is compared.
DETAIL_SIDE = 128
#: Correlation of the detail from which on two images show the same.
SAME_DETAIL = 0.95
#: Seconds from which on a comparison is worth a file in the cache.
WORTH_KEEPING_S = 1.0
#: Of the method and of the cached file.
VERSION = 1


@dataclass(frozen=True)
class Pair:
    """Two images that show the same.

    Attributes:
        image: Absolute path of the later one, in the order of the splits.
        other: Of the earlier one.
        splits: The splits of both, in the same order; the same split twice for equal files within one.
        identical: Whether their files are equal; otherwise they look nearly the same.
    """

    image: str
    other: str
    splits: tuple[str, str]
    identical: bool


def find_pairs(samples: Mapping[str, Sequence[Sample]], fingerprint: str) -> list[Pair]:
    """Returns the images of each split that an earlier split has too, and equal files within one.

    Decoding all images takes time, so the outcome is kept in the user's cache folder, by the dataset's fingerprint and
    the times at which its images were written.

    Args:
        samples: Images that can be read, by split, the training split first.
        fingerprint: Of the dataset.
    """
    images = {split: [sample.image for sample in part] for split, part in samples.items()}
    written = [f"{sample.image}\0{sample.modified}" for part in samples.values() for sample in part]
    key = hashlib.sha256(os.fsencode("\n".join([str(VERSION), fingerprint, *written]))).hexdigest()
    folder = cache_folder()
    if folder is not None and (known := _read(folder / f"{key}.json")) is not None:
        return known
    began = time.monotonic()
    found = _compare(images)
    if folder is not None and time.monotonic() - began > WORTH_KEEPING_S:
        write_atomic(folder / f"{key}.json", json.dumps([asdict(pair) for pair in found]).encode())
    return found


def cache_folder() -> Path | None:
    """Returns the user's own folder for what was compared; None where no folder is theirs alone to write."""
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home and os.path.isabs(home) else Path.home() / ".cache") / "yolotune" / "likeness"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except (OSError, RuntimeError):
        return None
    own = status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if own and os.access(folder, os.W_OK) else None


def _read(path: Path) -> list[Pair] | None:
    """Returns what was compared before; None where it was not, or cannot be read."""
    try:
        return [Pair(**{**one, "splits": tuple(one["splits"])}) for one in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _compare(images: Mapping[str, Sequence[str]]) -> list[Pair]:
    """Returns the pairs within each split and of all two splits."""
    found: list[Pair] = []
    with ThreadPoolExecutor() as pool:  # Pillow and numpy leave the interpreter to other threads
        looked = {split: dict(zip(part, pool.map(_hash, part), strict=True)) for split, part in images.items()}
        firsts: dict[str, dict[str, str]] = {}
        for split, part in looked.items():
            first: dict[str, str] = {}
            for path, (digest, _) in part.items():
                twin = first.setdefault(digest, path) if digest else path
                if twin != path:
                    found.append(Pair(path, twin, (split, split), True))
            firsts[split] = first
        for other, split in itertools.combinations(images, 2):
            equal = {
                path: firsts[other][digest] for path, (digest, _) in looked[split].items() if digest in firsts[other]
            }
            found += [Pair(path, twin, (split, other), True) for path, twin in equal.items() if path != twin]
            left = {path: bits for path, (_, bits) in looked[split].items() if path not in equal}
            candidates = list(_close(left, {path: bits for path, (_, bits) in looked[other].items()}))
            paths = sorted({*itertools.chain(*candidates)})
            details = dict(zip(paths, pool.map(_detail, paths), strict=True))
            alike = {
                path: twin
                for path, twin in reversed(candidates)  # of several the closest stays
                if float(np.mean(details[path] * details[twin])) >= SAME_DETAIL
            }
            found += [Pair(path, twin, (split, other), False) for path, twin in sorted(alike.items())]
    return found


def _hash(image: str) -> tuple[str, np.ndarray]:
    """Returns the digest of a file and the perceptual hash `(32,)` of its image; nothing where it cannot be read."""
    import imagehash

    try:
        content = Path(image).read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            opened.draft("L", (DETAIL_SIDE, DETAIL_SIDE))  # a JPEG is decoded at the size that is needed
            bits = np.packbits(imagehash.phash(opened.convert("L"), HASH_SIDE).hash)
    except Exception:  # Pillow's plugins raise many kinds; what cannot be decoded is found by the checks of images
        return "", np.zeros(0, np.uint8)
    return hashlib.blake2b(content, digest_size=16).hexdigest(), bits


def _close(hashes: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> Iterator[tuple[str, str]]:
    """Yields each image with the closest `others`, no more than `CLOSEST`, within `CANDIDATES` bits; closest first."""
    known = [path for path, bits in others.items() if len(bits)]
    if not known:
        return
    table = np.stack([others[path] for path in known]).view(np.uint64)
    for path, bits in hashes.items():
        if len(bits):
            distances = np.bitwise_count(table ^ bits.view(np.uint64)).sum(axis=1)
            for column in np.argsort(distances, kind="stable")[:CLOSEST]:
                if distances[column] <= CANDIDATES:
                    yield path, known[column]


def _detail(image: str) -> np.ndarray:
    """Returns the fine detail of an image: a grey image without what is larger than some pixels, of unit variance."""
    import cv2

    with Image.open(image) as opened:
        opened.draft("L", (2 * DETAIL_SIDE, 2 * DETAIL_SIDE))
        grey = opened.convert("L").resize((DETAIL_SIDE, DETAIL_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.float32)
    fine = pixels - cv2.GaussianBlur(pixels, (0, 0), 2)
    fine -= fine.mean()
    return np.asarray(fine / (fine.std() + 1e-6))
