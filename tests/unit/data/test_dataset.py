"""Everything that can be wrong with a dataset is found, all at once, and nothing beside it is written or run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from yolotune._yaml import read_yaml
from yolotune.data.dataset import Dataset, load_dataset
from yolotune.data.index import write_resolved
from yolotune.data.shapes import make_shapes
from yolotune.errors import Problem, UserError

TRIANGLE = "0.1 0.1 0.9 0.1 0.5 0.9"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shapes(tmp_path_factory.mktemp("made"), train=6, val=3, size=32).parent


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shapes"))


@pytest.fixture(autouse=True)
def settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's Ultralytics settings, whose datasets lie in a folder of the test's."""
    home = tmp_path_factory.mktemp("config")
    file = home / "Ultralytics" / "settings.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"datasets_dir": str(home / "datasets")}))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(home))
    return file


def problems(folder: Path, *, allow_bad_labels: bool = False) -> tuple[Problem, ...]:
    with pytest.raises(UserError) as caught:
        load_dataset(folder / "data.yaml", allow_bad_labels=allow_bad_labels)
    for problem in caught.value.problems:
        assert problem.where and problem.what.endswith(".") and problem.fix
    return caught.value.problems


def label(folder: Path, text: str) -> Path:
    file = folder / "labels" / "train" / "train0000.txt"
    file.write_text(text)
    return file


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.rglob("*")}


def save_jpeg(folder: Path, size: tuple[int, int] = (32, 32)) -> Path:
    file = folder / "images" / "train" / "photo.jpg"
    Image.new("RGB", size, "red").save(file)
    return file


# What loads --------------------------------------------------------------------------------------


def test_made_shapes_load_with_counts(folder: Path) -> None:
    dataset = load_dataset(folder / "data.yaml")
    rows = [len(file.read_text().splitlines()) for file in (folder / "labels" / "train").iterdir()]
    assert dataset.names == {0: "circle", 1: "square", 2: "triangle"}
    assert (dataset.nc, dataset.channels, dataset.test) == (3, 3, ())
    assert dataset.yaml == folder / "data.yaml"
    assert dataset.train == (str(folder / "images" / "train"),)
    assert dataset.images == {"train": 6, "val": 3}
    assert dataset.instances["train"] == sum(rows)
    assert dataset.ignored == {"train": (), "val": ()}


def test_loading_imports_no_torch_and_writes_nothing(folder: Path) -> None:
    before = files(folder)
    heavy = {"torch", "ultralytics"} & set(sys.modules)
    load_dataset(folder / "data.yaml")
    assert files(folder) == before
    assert {"torch", "ultralytics"} & set(sys.modules) == heavy


def test_background_images_and_duplicate_rows_are_fine(folder: Path) -> None:
    count = load_dataset(folder / "data.yaml").instances["train"]
    file = folder / "labels" / "train" / "train0001.txt"
    rows = file.read_text()
    file.write_text("\ufeff" + rows + "\n" + rows)
    assert load_dataset(folder / "data.yaml").instances["train"] == count
    file.unlink()
    dataset = load_dataset(folder / "data.yaml")
    assert (dataset.images["train"], dataset.instances["train"]) == (6, count - len(rows.splitlines()))


@pytest.mark.parametrize("names", ["[circle, no, 3]", "{2: '3', 0: circle, 1: no}", "{'0': circle, '1': no, '2': 3}"])
def test_names_may_be_a_list_or_a_map(folder: Path, names: str) -> None:
    (folder / "data.yaml").write_text(f"train: images/train\nvalidation: images/val\nnc: 3\nnames: {names}\n")
    assert load_dataset(folder / "data.yaml").names == {0: "circle", 1: "no", 2: "3"}


def test_classes_without_names_are_numbered(folder: Path) -> None:
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnc: 3\n")
    assert load_dataset(folder / "data.yaml").names == {0: "class_0", 1: "class_1", 2: "class_2"}


def test_splits_may_be_lists_of_folders_and_text_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = "./images/train/train0000.png\nimages/train/train0001.png\n\n./notes.md\n"
    (folder / "some.txt").write_text(text)
    (folder / "more").mkdir()
    (folder / "images" / "train" / "train0002.png").rename(folder / "more" / "a.png")
    (folder / "data.yaml").write_text("train: [some.txt, more]\nval: images/val\nnames: [a, b, c]\n")
    assert load_dataset("data.yaml").images == {"train": 3, "val": 3}


def test_roboflows_parent_folders_are_found(folder: Path) -> None:
    (folder / "data.yaml").write_text("train: ../images/train\nval: ../images/val\nnames: [a, b, c]\n")
    assert load_dataset(folder / "data.yaml").train == (str(folder / "images" / "train"),)


def test_path_is_looked_up_in_the_datasets_folder_of_the_settings(folder: Path, settings: Path) -> None:
    before = settings.read_bytes()
    home = settings.parent.parent / "datasets" / "mine"
    shutil.copytree(folder, home)
    (folder / "data.yaml").write_text("path: mine\ntrain: images/train\nval: images/val\ntest: no\nnames: [a, b, c]\n")
    dataset = load_dataset(folder / "data.yaml")
    assert dataset.val == (str(home / "images" / "val"),)
    assert dataset.test == ()
    assert settings.read_bytes() == before


def test_a_shipped_name_loads_when_its_images_are_on_disk(folder: Path, settings: Path) -> None:
    shutil.copytree(folder, settings.parent.parent / "datasets" / "coco8-seg")
    dataset = load_dataset("coco8-seg.yaml")
    assert (dataset.nc, dataset.images) == (80, {"train": 6, "val": 3})
    assert load_dataset("coco8-seg").fingerprint == dataset.fingerprint


def test_a_shipped_name_without_images_is_told_to_download(folder: Path) -> None:
    with pytest.raises(UserError, match="download it with Ultralytics or by hand"):
        load_dataset("coco8-seg.yaml")
    with pytest.raises(UserError, match=r"Did you mean coco8-seg\.yaml"):
        load_dataset("coco8seg.yaml")


# What is wrong with data.yaml --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("- a\n", "", "got a list, expected a map"),
        ("", "", "got a NoneType, expected a map"),
        ("val: images/val\nnames: [a, b, c]\n", ": train", "got None"),
        ("train: images/train\nnames: [a, b, c]\n", ": val", "got None"),
        ("train: images/train\nval: 3\nnames: [a, b, c]\n", ": val", "got 3"),
        ("train: images/train\nval: [images/val, 3]\nnames: [a, b, c]\n", ": val", "expected a folder"),
        ("train: images/train\nval: images/wal\nnames: [a, b, c]\n", ": val", "there is no"),
        ("train: images/train\nval: images/val\n", ": names", "got None"),
        ("train: images/train\nval: images/val\nnames: person\n", ": names", "got 'person'"),
        ("train: images/train\nval: images/val\nnames: []\n", ": names", "got {}"),
        ("train: images/train\nval: images/val\nnames: {1: a, 2: b, 3: c}\n", ": names", "1, 2, 3, expected 0..2"),
        ("train: images/train\nval: images/val\nnames: {a: x}\n", ": names", "class ids a"),
        ("train: images/train\nval: images/val\nnames: [a, b, [c]]\n", ": names", "got the name ['c']"),
        ("train: images/train\nval: images/val\nnc: 4\nnames: [a, b, c]\n", ": names", "3 classes, but nc is 4"),
        ("train: images/train\nval: images/val\nnc: many\nnames: [a, b, c]\n", ": nc", "got 'many'"),
        ("train: images/train\nval: images/val\nchannels: x\nnames: [a, b, c]\n", ": channels", "got 'x'"),
    ],
)  # fmt: skip
def test_a_bad_data_yaml_names_the_key(folder: Path, text: str, where: str, what: str) -> None:
    (folder / "data.yaml").write_text(text)
    (problem,) = problems(folder)
    assert problem.where == str(folder / "data.yaml") + where
    assert what in problem.what


def test_a_missing_data_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_dataset(tmp_path / "data.yaml")


def test_a_split_without_images_is_refused(folder: Path) -> None:
    (folder / "none").mkdir()
    (folder / "none" / "readme.txt").write_text("x")
    (folder / "data.yaml").write_text("train: images/train\nval: none\nnames: [a, b, c]\n")
    (problem,) = problems(folder)
    assert "no images" in problem.what


def test_a_list_that_is_no_text_or_names_missing_images_is_refused(folder: Path) -> None:
    (folder / "some.txt").write_text("./images/train/gone.png\n")
    text = "train: some.txt\nval: images/val/val0000.png\nnames: [a, b, c]\n"
    (folder / "data.yaml").write_text(text)
    listed, missing = problems(folder)
    assert "list of images" in listed.what
    assert missing.where == str(folder / "images" / "train" / "gone.png")
    assert "does not exist" in missing.what


def test_download_code_is_never_run(folder: Path, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    text = f"train: gone\nval: gone\nnames: [a, b, c]\ndownload: |\n  open({str(sentinel)!r}, 'w')\n"
    (folder / "data.yaml").write_text(text)
    found = problems(folder)
    assert all("never runs `download:` code" in problem.fix for problem in found)
    (folder / "data.yaml").write_text(text.replace("gone", "images/train", 1).replace("gone", "images/val"))
    resolved = write_resolved(load_dataset(folder / "data.yaml"), tmp_path / "study")
    assert "download" not in read_yaml(resolved)
    assert not sentinel.exists()


def test_a_planted_label_cache_is_neither_loaded_nor_replaced(folder: Path, tmp_path: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sentinel"),)

    cache = folder / "labels" / "train.cache"
    cache.write_bytes(pickle.dumps(Planted()))
    before = files(folder)
    load_dataset(folder / "data.yaml")
    assert files(folder) == before
    assert not (tmp_path / "sentinel").exists()


# What is wrong with labels -----------------------------------------------------------------------


def test_class_id_beyond_nc_names_file_and_line(folder: Path) -> None:
    file = label(folder, f"0 {TRIANGLE}\n\n3 {TRIANGLE}\n")
    (problem,) = problems(folder)
    assert problem.where == f"{file}:3"
    assert problem.what == "class id 3, but data.yaml has 3 classes, expected 0..2."


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (f"-1 {TRIANGLE}", "class id -1"),
        (f"0.5 {TRIANGLE}", "class id 0.5"),
        (f"nan {TRIANGLE}", "class id nan"),
        (f"person {TRIANGLE}", "not a number: could not convert string to float: 'person'"),
        ("0 0.5 0.5 0.2 0.2", "a box (5 columns), not a polygon; segmentation needs polygons"),
        ("0 0.1 0.1 0.9 0.1 0.5", "an odd number of coordinates: got 5"),
        ("0", "a polygon of 0 points"),
        ("0 0.1 0.1", "a polygon of 1 points"),
        ("0 0.1 0.1 1.2 0.1 0.5 0.9", "coordinate 3 of 6 is 1.2"),
        ("0 0.1 0.1 0.9 -0.1 0.5 0.9", "coordinate 4 of 6 is -0.1"),
        ("0 0.1 0.1 0.9 nan 0.5 0.9", "coordinate 4 of 6 is nan"),
        ("0 0.1 0.1 0.9 1e400 0.5 0.9", "coordinate 4 of 6 is inf"),
        ("0 -0.008 0.1 1.008 0.1 0.5 0.9", "larger than the image"),
    ],
)
def test_a_bad_row_names_file_and_line(folder: Path, row: str, what: str) -> None:
    file = label(folder, f"0 {TRIANGLE}\n{row}\n")
    (problem,) = problems(folder)
    assert problem.where == f"{file}:2"
    assert what in problem.what


def test_coordinates_may_leave_the_image_by_a_hundredth(folder: Path) -> None:
    label(folder, "2.0 -0.005 0.1 1.004 0.1 0.5 1.01\n")
    assert load_dataset(folder / "data.yaml").images["train"] == 6


def test_labels_that_are_no_text_are_refused(folder: Path) -> None:
    file = label(folder, "")
    file.write_bytes(b"\xff\xfe\x00")
    (problem,) = problems(folder)
    assert problem.where == str(file)


def test_a_split_without_any_labels_says_where_they_were_looked_for(folder: Path) -> None:
    shutil.rmtree(folder / "labels" / "val")
    (problem,) = problems(folder)
    assert problem.where.endswith("data.yaml: val")
    assert str(folder / "labels" / "val" / "val0000.txt") in problem.what


def test_a_split_of_empty_labels_is_refused(folder: Path) -> None:
    for file in (folder / "labels" / "val").iterdir():
        file.write_text("\n")
    (problem,) = problems(folder)
    assert "no label file has a usable row" in problem.what


# What is wrong with images -----------------------------------------------------------------------


def test_a_truncated_jpeg_is_refused_and_left_as_it_is(folder: Path) -> None:
    file = save_jpeg(folder)
    file.write_bytes(file.read_bytes()[:-2])
    before = file.read_bytes()
    (problem,) = problems(folder)
    assert problem.where == str(file)
    assert "FFD9" in problem.what
    assert file.read_bytes() == before


def test_unreadable_images_are_refused(folder: Path) -> None:
    images = folder / "images" / "train"
    (images / "empty.jpg").touch()
    (images / "text.png").write_text("no image")
    (images / "train0000.png").write_bytes((images / "train0000.png").read_bytes()[:-40])
    found = problems(folder)
    assert [Path(p.where).name for p in found] == ["empty.jpg", "text.png", "train0000.png"]
    assert all("not a readable image" in problem.what for problem in found)


def test_tiny_and_foreign_images_are_refused(folder: Path) -> None:
    save_jpeg(folder, (9, 32))
    Image.new("L", (20, 20)).save(folder / "images" / "train" / "fake.png", format="GIF")
    found = {Path(problem.where).name: problem.what for problem in problems(folder)}
    assert found["photo.jpg"] == "9 x 32 px, expected at least 10 x 10."
    assert found["fake.png"] == "a file of format gif."


def test_an_image_in_both_splits_is_refused(folder: Path) -> None:
    (folder / "data.yaml").write_text("train: images\nval: images/val\nnames: [a, b, c]\n")
    found = problems(folder)
    assert [Path(problem.where).name for problem in found] == ["val0000.png", "val0001.png", "val0002.png"]
    assert "in train and in val" in found[0].what


# Many problems -----------------------------------------------------------------------------------


def test_all_problems_are_told_at_once(folder: Path) -> None:
    label(folder, f"0 {TRIANGLE}\n7 {TRIANGLE}\n0 0.5 0.5 0.2 0.2\n")
    (folder / "images" / "train" / "text.png").write_text("no image")
    (folder / "data.yaml").write_text("train: images/train\nval: gone\nnc: 4\nnames: [a, b, c]\n")
    text = "\n".join(str(problem) for problem in problems(folder))
    for part in ("nc is 4", "there is no", "class id 7", "a box", "not a readable image"):
        assert part in text


def test_many_problems_of_a_kind_are_one_with_their_number(folder: Path) -> None:
    bad = label(folder, f"7 {TRIANGLE}\n" * 25 + "0 0.5 0.5 0.2 0.2\n")
    many, box = problems(folder)
    assert many.where == f"{bad}:1"
    assert many.what == "class id 7, but data.yaml has 3 classes, expected 0..2. There are 25 like this."
    assert "a box" in box.what and box.where == f"{bad}:26"


def test_whoever_may_leave_images_out_is_told_so(folder: Path) -> None:
    label(folder, f"7 {TRIANGLE}\n")
    (problem,) = problems(folder)
    assert problem.fix.endswith("; or leave such images out: --allow-bad-labels.")
    for file in (folder / "labels" / "val").iterdir():
        file.write_text(f"7 {TRIANGLE}\n")
    (problem,) = problems(folder)
    assert "There are 4 like this." in problem.what
    assert "--allow-bad-labels" not in problem.fix


def test_bad_labels_may_be_left_out(folder: Path) -> None:
    bad = label(folder, f"7 {TRIANGLE}\n")
    (folder / "images" / "train" / "text.png").write_text("no image")
    dataset = load_dataset(folder / "data.yaml", allow_bad_labels=True)
    assert dataset.images == {"train": 5, "val": 3}
    assert [Path(image).stem for image in dataset.ignored["train"]] == ["text", bad.stem]


def test_a_split_of_bad_labels_only_is_refused_even_then(folder: Path) -> None:
    for file in (folder / "labels" / "val").iterdir():
        file.write_text(f"7 {TRIANGLE}\n")
    (problem,) = problems(folder, allow_bad_labels=True)
    assert "every image has problems" in problem.what


# Fingerprint and the files of a study ------------------------------------------------------------


def test_the_fingerprint_survives_a_move(folder: Path, tmp_path: Path) -> None:
    before = load_dataset(folder / "data.yaml").fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_dataset(moved / "data.yaml").fingerprint == before


def _change_label(folder: Path) -> None:
    label(folder, f"0 {TRIANGLE}\n")


def _remove_label(folder: Path) -> None:
    (folder / "labels" / "val" / "val0000.txt").unlink()


def _change_image(folder: Path) -> None:
    Image.new("RGB", (40, 40)).save(folder / "images" / "val" / "val0000.png")


def _rename_class(folder: Path) -> None:
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b, c]\n")


@pytest.mark.parametrize("change", [_change_label, _remove_label, _change_image, _rename_class])
def test_the_fingerprint_tells_a_change(folder: Path, change: Callable[[Path], None]) -> None:
    before = load_dataset(folder / "data.yaml").fingerprint
    change(folder)
    assert load_dataset(folder / "data.yaml").fingerprint != before


def _reload(dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    resolved = write_resolved(dataset, folder)
    monkeypatch.chdir(folder)
    return load_dataset(resolved)


def test_the_resolved_data_yaml_means_the_same_from_anywhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "some.txt").write_text("images/train/train0000.png\n./images/train/train0001.png\n")
    text = "path: .\ntrain: [some.txt]\nval: images/val\ntest: [images/val]\nnames: [no, é, c]\nchannels: 1\n"
    (folder / "data.yaml").write_text(text)
    dataset = load_dataset("data.yaml")
    again = _reload(dataset, tmp_path / "study", monkeypatch)
    assert again.train == (str(tmp_path / "study" / "train.txt"),)
    assert (again.val, again.test) == (dataset.val, dataset.test)
    assert (again.names, again.channels, again.images) == (dataset.names, 1, dataset.images)


def test_environment_json_keeps_what_identifies_the_data(folder: Path) -> None:
    (folder / "images" / "train" / "text.png").write_text("no image")
    dataset = load_dataset(folder / "data.yaml", allow_bad_labels=True)
    said = dataset.described()
    assert json.loads(json.dumps(said)) == said
    assert said["yaml"] == str(folder / "data.yaml") and said["fingerprint"] == dataset.fingerprint
    assert said["images"] == {"train": 6, "val": 3} and said["ignored"] == {"train": 1, "val": 0}
    assert said["names"] == {"0": "circle", "1": "square", "2": "triangle"}


def test_a_thousand_small_images_take_less_than_two_seconds(tmp_path: Path) -> None:
    import time

    data = make_shapes(tmp_path, train=2, val=2, size=32)
    for index in range(1000):
        os.link(tmp_path / "images/train/train0000.png", tmp_path / f"images/train/x{index}.png")
        os.link(tmp_path / "labels/train/train0000.txt", tmp_path / f"labels/train/x{index}.txt")
    start = time.perf_counter()
    assert load_dataset(data).images["train"] == 1002
    assert time.perf_counter() - start < 2
