"""The label index against Ultralytics itself: the same images, labels and paths, and no file beside the dataset."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from yolotune._yaml import read_yaml
from yolotune.data import labels
from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.index import build_index, indexed_dataset_class, write_resolved
from yolotune.data.shapes import make_shapes
from yolotune.errors import UserError

TRIANGLE = "0.1 0.1 0.9 0.1 0.5 0.9"


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keeps Ultralytics, first imported after this, off the network and the user's settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("config")))
        patch.setenv("YOLO_OFFLINE", "1")
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shapes with what Ultralytics treats specially: background, an empty label, duplicates, a JPEG turned by EXIF."""
    folder = make_shapes(tmp_path / "shapes", train=6, val=3, size=32).parent
    rows = folder / "labels" / "train"
    (rows / "train0000.txt").unlink()
    (rows / "train0001.txt").write_text("\n")
    text = (rows / "train0002.txt").read_text()
    (rows / "train0002.txt").write_text("\ufeff" + text + text)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 24), "red").save(folder / "images" / "train" / "photo.jpg", exif=exif)
    (rows / "photo.txt").write_text(f"1 {TRIANGLE}\n")
    return folder


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return load_dataset(folder / "data.yaml")


def opened(kind: Any, dataset: Dataset, split: str, **settings: Any) -> Any:
    data = {"names": dataset.names, "channels": dataset.channels}
    images = list(getattr(dataset, split))
    return kind(images, data=data, task="segment", imgsz=32, augment=False, **settings)


def stock(dataset: Dataset, folder: Path, split: str, **settings: Any) -> Any:
    """Ultralytics' own dataset; the cache that it leaves beside the labels is removed again."""
    from ultralytics.data.dataset import YOLODataset

    made = opened(YOLODataset, dataset, split, **settings)
    (folder / "labels" / f"{split}.cache").unlink()
    return made


def assert_equal_labels(ours: Any, theirs: Any) -> None:
    assert ours.im_files == theirs.im_files
    assert ours.label_files == theirs.label_files
    for mine, other in zip(ours.labels, theirs.labels, strict=True):
        assert list(mine) == list(other)
        for key in ("im_file", "shape", "keypoints", "normalized", "bbox_format"):
            assert mine[key] == other[key]
        assert [type(side) for side in mine["shape"]] == [int, int]
        for key in ("cls", "bboxes"):
            assert mine[key].dtype == other[key].dtype == np.float32
            assert mine[key].shape == other[key].shape
            assert np.array_equal(mine[key], other[key])
        assert isinstance(mine["segments"], list)
        for segment, expected in zip(mine["segments"], other["segments"], strict=True):
            assert segment.dtype == expected.dtype == np.float32
            assert np.array_equal(segment, expected)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("settings", [{}, {"fraction": 0.5}, {"single_cls": True}, {"classes": [0]}], ids=str)
def test_labels_equal_ultralytics_own(
    dataset: Dataset, folder: Path, tmp_path: Path, split: str, settings: dict[str, Any]
) -> None:
    index = build_index(dataset, split, tmp_path / "study")
    theirs = stock(dataset, folder, split, **settings)
    assert_equal_labels(opened(indexed_dataset_class(index), dataset, split, **settings), theirs)


def test_counts_equal_ultralytics_own(dataset: Dataset, folder: Path) -> None:
    theirs = stock(dataset, folder, "train")
    assert dataset.images["train"] == len(theirs.labels)
    assert dataset.instances["train"] == sum(len(label["cls"]) for label in theirs.labels)


def test_items_equal_ultralytics_own(dataset: Dataset, folder: Path, tmp_path: Path) -> None:
    index = build_index(dataset, "val", tmp_path / "study")
    theirs = stock(dataset, folder, "val")[0]
    ours = opened(indexed_dataset_class(index), dataset, "val")[0]
    for key in ("img", "cls", "bboxes", "masks"):
        assert (ours[key] == theirs[key]).all()


def test_nothing_beside_the_dataset_is_written_or_loaded(folder: Path, tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sentinel"),)

    (folder / "labels" / "train.cache").write_bytes(pickle.dumps(Planted()))
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    dataset = load_dataset(folder / "data.yaml")
    for split in ("train", "val"):
        opened(indexed_dataset_class(build_index(dataset, split, tmp_path / "study")), dataset, split)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    assert not (tmp_path / "sentinel").exists()
    assert sorted(file.name for file in (tmp_path / "study").iterdir()) == [
        "labels-train.npz",
        "labels-val.npz",
    ]


def test_images_with_problems_are_left_out_and_never_rewritten(folder: Path, tmp_path: Path) -> None:
    photo = folder / "images" / "train" / "photo.jpg"
    photo.write_bytes(photo.read_bytes()[:-2])
    before = photo.read_bytes()
    (folder / "labels" / "train" / "train0003.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    dataset = load_dataset(folder / "data.yaml", allow_bad_labels=True)
    made = opened(indexed_dataset_class(build_index(dataset, "train", tmp_path)), dataset, "train")
    assert [Path(file).stem for file in made.im_files] == [
        "train0000",
        "train0001",
        "train0002",
        "train0004",
        "train0005",
    ]
    assert photo.read_bytes() == before


def test_a_new_image_is_told_as_a_changed_dataset(dataset: Dataset, folder: Path, tmp_path: Path) -> None:
    index = build_index(dataset, "train", tmp_path / "study")
    images = folder / "images" / "train"
    shutil.copy(images / "train0003.png", images / "new.png")
    with pytest.raises(UserError, match=r"changed since the study began: 1 new images, as .*new\.png"):
        opened(indexed_dataset_class(index), dataset, "train")


def test_a_label_that_went_bad_before_the_index_is_named(dataset: Dataset, folder: Path, tmp_path: Path) -> None:
    (folder / "labels" / "val" / "val0001.txt").write_text(f"9 {TRIANGLE}\n")
    with pytest.raises(UserError, match=r"val0001.*exceeds dataset class count"):
        build_index(dataset, "val", tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_indexed_dataset_can_be_pickled_and_copied(dataset: Dataset, tmp_path: Path) -> None:
    made = opened(indexed_dataset_class(build_index(dataset, "val", tmp_path)), dataset, "val")
    for other in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert type(other) is type(made)
        assert_equal_labels(other, made)


def test_our_copies_of_ultralytics_rules_are_its_rules() -> None:
    from ultralytics.data.utils import IMG_FORMATS, img2label_paths

    assert labels.IMG_FORMATS == IMG_FORMATS
    paths = ["/a/images/images/b.c.png", "/a/b.jpg", "/images/x.images/y.tif", "/images.png"]
    assert [labels.label_path(path) for path in paths] == img2label_paths(paths)


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\nnames: [a, b, c]\n",
        "path: .\ntrain: [images/train, some.txt]\nval: images/val\ntest: images/val\nnc: 3\n",
        "path: shapes\ntrain: ../images/train\nvalidation: ../images/val\nnames: {2: c, 0: a, 1: b}\nnc: '3'\n",
    ],
)
def test_paths_and_names_are_resolved_as_ultralytics_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    from ultralytics.data import utils

    monkeypatch.setattr(utils, "check_font", lambda *_: None)  # would look for a font on the network
    monkeypatch.chdir(tmp_path if "shapes" in text else folder)
    (folder / "some.txt").write_text("./images/train/photo.jpg\n")
    (folder / "data.yaml").write_text(text)
    dataset = load_dataset(folder / "data.yaml")
    theirs = utils.check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    resolved = utils.check_det_dataset(str(write_resolved(dataset, tmp_path / "study")), autodownload=False)
    for split in ("train", "val", "test"):
        expected = theirs.get(split) or []
        assert list(getattr(dataset, split)) == ([expected] if isinstance(expected, str) else expected)
    for key in ("names", "nc", "channels"):
        assert theirs[key] == resolved[key]
    assert resolved["val"] == theirs["val"]
    assert Path(resolved["train"]).is_absolute()


def test_every_dataset_that_ultralytics_ships_is_yaml_to_us() -> None:
    from ultralytics.utils import ROOT

    shipped = sorted((ROOT / "cfg" / "datasets").glob("*-seg.yaml"))
    assert shipped and all(isinstance(read_yaml(file)["names"], dict) for file in shipped)
