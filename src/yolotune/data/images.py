"""Decoded images that all trainings of a machine share: each image is read and decoded once.

They are what Ultralytics' `BaseDataset.load_image` returns, decoded and resized, before any augmentation. They lie in
the study's folder, never beside the user's images, for as long as a run of the study takes. The kernel keeps the pages
in memory that there is room for, once for all processes.
"""

from __future__ import annotations

import math
import mmap
import os
import socket
import struct
import weakref
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: Of an image: checksum, height and width of the file, height and width as stored. All zero where there is none yet.
_ROW = struct.Struct("<5I")


def stored_size(height: int, width: int, imgsz: int, channels: int) -> int:
    """Returns the bytes of an image whose longer side was resized to `imgsz` pixels.

    Args:
        height: Of the file, in pixels.
        width: Of the file, in pixels.
        imgsz: Ultralytics' argument, in pixels.
        channels: One byte each.
    """
    ratio = imgsz / max(height, width)
    return min(math.ceil(height * ratio), imgsz) * min(math.ceil(width * ratio), imgsz) * channels


def store_path(folder: Path, name: str) -> Path:
    """Returns where this machine keeps a store.

    A mapped file is coherent among the processes of one kernel alone, and what was written before a reboot may be torn.

    Args:
        folder: Of all stores of a study, which machines may share.
        name: Of what is stored.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:  # not Linux
        boot = "0"
    return folder / f"{name}-{socket.gethostname()}-{boot}.images"


class ImageStore:
    """The images of a split at one size, in a sparse file that processes of one machine write and read at once.

    Who needs an image that is not there decodes and writes it: the pixels first, then the row with their checksum. A
    reader that finds no row, or a row of other pixels, has found no image, so nobody sees half of one. Two processes
    that decode the same image write the same bytes.
    """

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, int]], imgsz: int, channels: int) -> None:
        """Opens a store, or begins one.

        Args:
            path: Its file; a path belongs to one set of shapes, `imgsz` and `channels`.
            shapes: Height and width of each image by its path.
            imgsz: Pixels of the longer side, as the dataset has it.
            channels: Of the images.

        Raises:
            OSError: It cannot be written or mapped there.
        """
        self._told = path, dict(shapes), imgsz, channels
        self._channels = channels
        self._number = {image: number for number, image in enumerate(shapes)}
        sizes = [stored_size(*shape, imgsz, channels) for shape in shapes.values()]
        self._starts = np.cumsum([_ROW.size * len(sizes), *sizes], dtype=np.int64)
        self._checked = np.zeros(len(sizes), dtype=bool)
        self._refused = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, self._file)
        end = int(self._starts[-1])
        os.ftruncate(self._file, end)
        self._map = mmap.mmap(self._file, end, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageStore, self._told

    def read(self, image: str) -> tuple[np.ndarray, tuple[int, int]] | None:
        """Returns an image and the height and width of its file; None where it is not there.

        Args:
            image: Its path.

        Returns:
            The image `(height, width, channels)`, uint8. It is the shared memory itself, and cannot be written to.
        """
        number = self._number[image]
        checksum, *shape = _ROW.unpack(os.pread(self._file, _ROW.size, _ROW.size * number))
        height, width = shape[2:]
        start, end = map(int, self._starts[number : number + 2])
        size = height * width * self._channels
        if not checksum or size > end - start:
            return None
        pixels = np.frombuffer(self._map, np.uint8, size, start)
        if not self._checked[number]:
            if _checksum(shape, pixels) != checksum:
                return None
            self._checked[number] = True
        return pixels.reshape(height, width, self._channels), (shape[0], shape[1])

    def write(self, image: str, pixels: np.ndarray, original: tuple[int, int]) -> None:
        """Adds an image, unless it is not of the kind the store was made for, or the disk is full.

        Args:
            image: Its path.
            pixels: As Ultralytics decoded and resized it, `(height, width, channels)`.
            original: Height and width of its file.
        """
        number = self._number[image]
        start, end = map(int, self._starts[number : number + 2])
        fits = pixels.dtype == np.uint8 and pixels.shape[2] == self._channels and pixels.nbytes <= end - start
        if self._refused or not fits:
            return
        shape = [*original, *pixels.shape[:2]]
        pixels = np.ascontiguousarray(pixels)
        row = _ROW.pack(_checksum(shape, pixels), *shape)
        try:
            if os.pwrite(self._file, pixels.data, start) == pixels.nbytes:
                os.pwrite(self._file, row, _ROW.size * number)
                return
        except OSError:
            pass
        self._refused = True  # the disk is full; each training decodes the others for itself


def _checksum(shape: list[int], pixels: np.ndarray) -> int:
    return zlib.crc32(pixels.data, zlib.crc32(struct.pack("<4I", *shape)))
