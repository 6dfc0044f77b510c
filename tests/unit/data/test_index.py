"""The files that trials read instead of the dataset's own."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.index import INDEX_VERSION, read_index, write_index, write_train_subset
from yolotune.data.shapes import make_shapes
from yolotune.errors import UserError

NPY = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<i8', 'fortran_order': False, 'shape': (), }".ljust(79) + b"\n" + bytes(8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_shapes(tmp_path_factory.mktemp("made"), train=2, val=2, size=32))


@pytest.mark.parametrize(
    ("train", "val", "fraction", "measured"),
    [
        (12, 6, 1.0, 6),
        (60, 20, 1.0, 16),
        (100, 63, 1.0, 26),
        (100, 63, 0.1, 10),
        (400, 60, 1.0, 60),
        (400, 60, 0.5, 46),
    ],
)
def test_train_metrics_cost_a_tenth_of_an_epoch_and_no_more_than_the_val_split(
    made: Dataset, tmp_path: Path, train: int, val: int, fraction: float, measured: int
) -> None:
    images = tuple(f"{tmp_path}/images/{number:03d}.png" for number in range(train))
    listed = tmp_path / "train.txt"
    listed.write_text("\n".join(images))
    dataset = dataclasses.replace(made, train=(str(listed),), images={**made.images, "train": train, "val": val})
    lines = write_train_subset(dataset, tmp_path, fraction=fraction).read_text().splitlines()
    assert len(lines) == len(set(lines)) == measured
    assert set(lines) <= set(images[: round(train * fraction)])


def test_the_index_gives_back_the_arrays_and_holds_no_pickle(tmp_path: Path) -> None:
    points = np.array([[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], dtype=np.float32)
    stored = [
        {"im_file": "/a.png", "shape": (3, 4), "cls": np.ones((2, 1), np.float32),
         "bboxes": np.ones((2, 4), np.float32), "segments": [points, points[:2]]},
        {"im_file": "/é.png", "shape": (5, 6), "cls": np.zeros((0, 1), np.float32),
         "bboxes": np.zeros((0, 4), np.float32), "segments": []},
    ]  # fmt: skip
    path = tmp_path / "labels.npz"
    write_index(path, stored, ["/bad.png"])
    read, ignored = read_index(path)
    assert ignored == {"/bad.png"}
    assert list(read) == ["/a.png", "/é.png"]
    for before in stored:
        after = read[before["im_file"]]
        assert after["shape"] == before["shape"]
        assert np.array_equal(after["cls"], before["cls"]) and np.array_equal(after["bboxes"], before["bboxes"])
        assert all(np.array_equal(a, b) for a, b in zip(after["segments"], before["segments"], strict=True))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", pickle.dumps({"a": 1}), NPY])
def test_a_damaged_index_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_index(path)


def test_an_index_of_another_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    with path.open("wb") as file:
        np.savez(file, version=np.array(INDEX_VERSION + 1))
    with pytest.raises(UserError, match=f"version {INDEX_VERSION + 1}, expected {INDEX_VERSION}"):
        read_index(path)
