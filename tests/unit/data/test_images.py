"""The file of decoded images that several processes read and write at once; no image file and no Ultralytics here."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from yolotune.data.images import ImageStore, store_path, stored_size

SHAPE = (40, 30)  # at 64 px 64 x 48
NAMES = [f"/{number}.png" for number in range(40)]


def image(name: str, height: int = 64, width: int = 48, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(int(name[1:-4]))
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "train-64.images"


def opened(path: Path, channels: int = 3) -> ImageStore:
    return ImageStore(path, dict.fromkeys(NAMES, SHAPE), 64, channels)


def found(store: ImageStore, name: str) -> np.ndarray:
    stored = store.read(name)
    assert stored is not None
    return stored[0]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_one_writes_another_reads(path: Path, channels: int) -> None:
    first, second = opened(path, channels), opened(path, channels)
    for name in ("/0.png", "/39.png"):
        assert first.read(name) is None
        pixels = image(name, channels=channels)
        first.write(name, pixels, SHAPE)
        stored = second.read(name)
        assert stored is not None and stored[1] == SHAPE
        assert stored[0].dtype == np.uint8 and np.array_equal(stored[0], pixels)
    assert second.read("/1.png") is None


def test_nobody_can_change_what_others_read(path: Path) -> None:
    store = opened(path)
    store.write("/3.png", image("/3.png"), SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        found(store, "/3.png")[:] = 0


def test_an_image_of_another_kind_is_not_kept(path: Path) -> None:
    store = opened(path)
    store.write("/0.png", image("/0.png", channels=1), SHAPE)
    store.write("/1.png", image("/1.png").astype(np.uint16), SHAPE)
    store.write("/2.png", image("/2.png", height=65, width=64), SHAPE)  # larger than the index says
    assert [store.read(f"/{number}.png") for number in range(3)] == [None] * 3
    turned = image("/4.png", height=48, width=64)  # by EXIF
    store.write("/4.png", turned, (30, 40))
    assert np.array_equal(found(store, "/4.png"), turned)
    flipped = image("/5.png")[:, ::-1]
    store.write("/5.png", flipped, SHAPE)
    assert np.array_equal(found(store, "/5.png"), flipped)


@pytest.mark.parametrize("place", [0, 8, 19, 20, -1])
def test_a_store_with_a_wrong_byte_gives_no_image(tmp_path: Path, place: int) -> None:
    path, shapes = tmp_path / "one.images", {"/0.png": (64, 64)}
    pixels = image("/0.png", width=64)
    ImageStore(path, shapes, 64, 3).write("/0.png", pixels, (64, 64))
    assert np.array_equal(found(ImageStore(path, shapes, 64, 3), "/0.png"), pixels)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    store = ImageStore(path, shapes, 64, 3)
    assert store.read("/0.png") is None
    store.write("/0.png", pixels, (64, 64))
    assert np.array_equal(found(store, "/0.png"), pixels)


def test_a_full_disk_ends_the_writing_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(path)
    store.write("/0.png", image("/0.png"), SHAPE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda _file, data, _place: len(data) // 2)
        store.write("/1.png", image("/1.png"), SHAPE)
    store.write("/2.png", image("/2.png"), SHAPE)
    assert np.array_equal(found(store, "/0.png"), image("/0.png"))
    assert store.read("/1.png") is None and store.read("/2.png") is None


def fill(path: Path, killed_in: str | None) -> None:
    """Writes all images; dies when half of one is written, if told so."""
    store, write = opened(path), os.pwrite

    def die(file: int, data: memoryview, place: int) -> None:
        write(file, data[: len(data) // 2], place)
        os.kill(os.getpid(), signal.SIGKILL)

    for name in NAMES:
        if name == killed_in:
            os.pwrite = die  # type: ignore[assignment]
        if store.read(name) is None:
            store.write(name, image(name), SHAPE)
        assert np.array_equal(found(store, name), image(name))


def test_processes_that_fill_it_at_once_and_a_killed_one_leave_whole_images(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    killed = context.Process(target=fill, args=(path, "/20.png"))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    store = opened(path)
    assert [store.read(name) is not None for name in NAMES] == [True] * 20 + [False] * 20
    several = [context.Process(target=fill, args=(path, None)) for _ in range(3)]
    for process in several:
        process.start()
    for process in several:
        process.join()
    assert [process.exitcode for process in several] == [0, 0, 0]
    for name in NAMES:
        assert np.array_equal(found(store, name), image(name)), "seen by one that had opened it before"


def test_a_process_that_is_not_forked_opens_it_anew(path: Path) -> None:
    store = opened(path)
    store.write("/7.png", image("/7.png"), SHAPE)
    assert np.array_equal(found(pickle.loads(pickle.dumps(store)), "/7.png"), image("/7.png"))


def test_only_images_that_are_there_take_room(path: Path) -> None:
    store = opened(path)
    assert path.stat().st_size == 40 * (20 + stored_size(40, 30, 64, 3))
    store.write("/7.png", image("/7.png"), SHAPE)
    assert path.stat().st_blocks * 512 < path.stat().st_size / 4


def test_each_machine_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = store_path(tmp_path, "train-64")
    assert here == store_path(tmp_path, "train-64") != store_path(tmp_path, "train-96")
    monkeypatch.setattr("socket.gethostname", lambda: "other")
    assert here != store_path(tmp_path, "train-64")
