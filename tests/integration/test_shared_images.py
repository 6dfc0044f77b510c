"""Images that trainings share, against those that each decodes for itself: the same bytes, draws and numbers."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from jobs import changed, numbers, train
from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.index import build_index, indexed_dataset_class
from yolotune.data.shapes import make_shapes
from yolotune.training.job import Job

TRIANGLE = "0.1 0.1 0.9 0.1 0.5 0.9"
#: Every augmentation that reads several images, or writes into the one it is given.
AUGMENTED = {"mosaic": 0.5, "mixup": 0.3, "cutmix": 0.3, "copy_paste": 0.5, "hsv_h": 0.1, "fliplr": 0.5}
UNCHANGED_SIZE = {"mosaic": 0.0, "copy_paste": 1.0, "hsv_v": 0.9, "translate": 0.0, "scale": 0.0}


@pytest.fixture(scope="module", params=[3, 1], ids=["colour", "grey"])
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images of many shapes and formats: one turned by EXIF, grey ones, palettes, 16 bits, TIFF."""
    data = make_shapes(tmp_path_factory.mktemp("odd"), train=4, val=4, size=64, per_image=2)
    folder, rng = data.parent / "images" / "train", np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 33, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(pixels[:21, :, 0]).save(folder / "grey.png")
    Image.fromarray(pixels[:10]).quantize(16).save(folder / "palette.png")
    Image.fromarray(pixels[:64, :31]).save(folder / "photo.tif")
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep.png"), pixels.astype(np.uint16) * 257)
    for name in ("turned", "grey", "palette", "photo", "alpha", "deep"):
        (data.parent / "labels" / "train" / f"{name}.txt").write_text(f"1 {TRIANGLE}\n")
    data.write_text(f"{data.read_text()}channels: {request.param}\n")
    return load_dataset(data)


def opened(dataset: Dataset, index: Path, shared: Path | None, **settings: Any) -> Any:
    """Returns a training's dataset, with images that are shared or its own."""
    from ultralytics.cfg import get_cfg

    data = {"names": dataset.names, "channels": dataset.channels}
    given = {"imgsz": 64, "augment": False, "batch_size": 1, "task": "segment", "data": data, **settings}
    augmented = given.pop("augmented", {})
    split = index.stem.removeprefix("labels-")
    made = indexed_dataset_class(index)(list(getattr(dataset, split)), hyp=get_cfg(overrides=augmented), **given)
    if shared:
        made.share_images(shared)
    return made


def drawn(dataset: Any, rounds: int = 3) -> list[Any]:
    """Returns what an augmenting training reads in some epochs, from the same random numbers."""
    random.seed(0)
    np.random.seed(0)
    order = [int(index) for _ in range(rounds) for index in np.random.permutation(len(dataset))]
    items = [dataset[index] for index in order]
    return [{name: np.asarray(item[name]) for name in ("img", "cls", "bboxes", "masks")} for item in items] + [
        random.random(),
        list(dataset.buffer),
    ]


@pytest.mark.parametrize("settings", [{}, {"rect": True, "batch_size": 3}, {"augment": True}], ids=str)
@pytest.mark.parametrize("imgsz", [32, 64, 96])
def test_an_image_is_ultralytics_own_and_is_decoded_once(
    odd: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imgsz: int, settings: dict[str, Any]
) -> None:
    import ultralytics.data.base

    index = build_index(odd, "train", tmp_path)
    own = opened(odd, index, None, imgsz=imgsz, **settings)
    expected = [(*own.load_image(number), list(own.buffer)) for number in range(len(own))]
    for imread in (ultralytics.data.base.imread, None):  # the second training must not call it
        monkeypatch.setattr("ultralytics.data.base.imread", imread)
        dataset = opened(odd, index, tmp_path / "images", imgsz=imgsz, **settings)
        for number, (pixels, *rest) in enumerate(expected):
            read = dataset.load_image(number)
            assert read[0].dtype == pixels.dtype and np.array_equal(read[0], pixels)
            assert [*read[1:], dataset.buffer] == rest
    assert len(list((tmp_path / "images").iterdir())) == 1


@pytest.mark.parametrize(
    "augmented",
    [AUGMENTED, {**AUGMENTED, "copy_paste_mode": "mixup"}, UNCHANGED_SIZE],
    ids=["flip", "mixup", "unchanged size"],
)
@pytest.mark.parametrize("batch", [1, 16])
def test_augmentation_draws_and_gives_the_same(
    odd: Dataset, tmp_path: Path, augmented: dict[str, Any], batch: int
) -> None:
    """With a small batch images come and go in the buffer for mosaics, with a large one they stay."""
    index = build_index(odd, "train", tmp_path)
    settings = {"augment": True, "batch_size": batch, "augmented": augmented}
    expected = drawn(opened(odd, index, None, **settings))
    for _ in range(2):  # one that decodes, one that finds all
        np.testing.assert_equal(drawn(opened(odd, index, tmp_path / "images", **settings)), expected)


def test_loader_processes_and_pickled_datasets_share_them_too(odd: Dataset, tmp_path: Path) -> None:
    from ultralytics.data import build_dataloader

    index = build_index(odd, "train", tmp_path)
    expected = [item["img"] for item in build_dataloader(opened(odd, index, None), batch=2, workers=0, shuffle=False)]
    shared = opened(odd, index, tmp_path / "images")
    loader = build_dataloader(shared, batch=2, workers=2, shuffle=False)
    for item, image in zip(loader, expected, strict=True):
        assert (item["img"] == image).all()
    loader.close()
    assert all(shared.store.read(image) is not None for image in shared.im_files)
    again = pickle.loads(pickle.dumps(shared))
    assert np.array_equal(again.load_image(0)[0], shared.load_image(0)[0])


def test_where_they_cannot_be_kept_each_training_decodes_its_own(odd: Dataset, tmp_path: Path) -> None:
    index = build_index(odd, "train", tmp_path)
    (tmp_path / "images").write_text("a file in the way")
    dataset = opened(odd, index, tmp_path / "images")
    assert dataset.store is None
    assert np.array_equal(dataset.load_image(0)[0], opened(odd, index, None).load_image(0)[0])


def test_trainings_that_share_images_have_the_numbers_of_one_that_does_not(job: Job, tmp_path: Path) -> None:
    """Its images, those of the val split, and those that the train metrics are measured on."""
    own = changed(job, fixed={**AUGMENTED, "cache": "disk"}, epochs=2)
    shared = changed(own, images=tmp_path / "images")
    _, expected = train(own, tmp_path / "own")
    _, first = train(shared, tmp_path / "first")
    stores = {file.name: file.read_bytes() for file in (tmp_path / "images").iterdir()}
    _, second = train(shared, tmp_path / "second")
    assert numbers(expected) == numbers(first) == numbers(second)
    assert sorted(name.rsplit("-", 3)[0] for name in stores) == ["labels-train", "labels-val"]
    assert stores == {file.name: file.read_bytes() for file in (tmp_path / "images").iterdir()}
    assert not list(job.data.parent.rglob("*.npy")) and not list(tmp_path.rglob("*.npy"))
