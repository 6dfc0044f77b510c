"""The data doctor finds each thing that is wrong, and nothing in a healthy dataset; docs/data.md shows what it says."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

import broken_data
from yolotune.data import likeness
from yolotune.data.doctor import Examination, examine, read_summary, write_summary
from yolotune.data.findings import Finding, Level
from yolotune.data.likeness import cache_folder
from yolotune.display.dataset import finding_lines, warning_lines

PAGE = Path(__file__).parents[3] / "docs" / "data.md"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return broken_data.make_healthy(tmp_path / "made")


def kinds(examined: Examination) -> set[str]:
    return {found.kind for found in examined.findings}


def only(examined: Examination) -> Finding:
    (found,) = examined.findings
    return found


def test_nothing_is_found_in_a_healthy_dataset(data: Path) -> None:
    examined = examine(data)
    assert examined.findings == ()
    assert examined.dataset is not None and examined.summary is not None
    train = examined.summary.splits["train"]
    assert (train.images, train.objects, train.unlabelled, train.empty) == (30, sum(train.by_class.values()), 0, 0)
    assert train.objects == examined.dataset.instances["train"]
    assert (examined.summary.smallest, examined.summary.largest) == ((96, 96), (96, 96))


@pytest.mark.parametrize("kind", [*broken_data.LIKELY_WRONG, *broken_data.WRONG])
def test_each_mistake_is_found_alone(data: Path, kind: str) -> None:
    {**broken_data.LIKELY_WRONG, **broken_data.WRONG}[kind](data.parent)
    examined = examine(data)
    expected = {kind, "class-not-in-val"} if kind == "unlabelled-images" else {kind}  # few val labels are left
    assert kinds(examined) == expected
    assert (examined.dataset is None) == (kind in broken_data.WRONG)
    for found in examined.findings:
        assert found.where and found.what.endswith(".") and (found.fix or found.level is Level.NOTE)


def test_all_mistakes_are_found_at_once_and_the_page_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    examined = examine(broken_data.make_broken(tmp_path / "broken"))
    assert kinds(examined) == {*broken_data.LIKELY_WRONG, *broken_data.WRONG}
    shown = PAGE.read_text(encoding="utf-8")
    from rich.text import Text

    for line in finding_lines(examined, every=False):
        assert Text.from_markup(line).plain in shown


def test_sizes_are_those_at_the_image_size_of_the_training(data: Path) -> None:
    small, large = (examine(data, imgsz=imgsz).summary for imgsz in (96, 192))
    assert small is not None and large is not None
    before, after = small.splits["train"].sizes, large.splits["train"].sizes
    assert before is not None and after is not None
    assert after[1] == pytest.approx(2 * before[1], abs=0.2)


def test_a_data_yaml_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    examined = examine(tmp_path / "data.yaml")
    assert examined.summary is None and [one.where for one in examined.problems] == [str(tmp_path / "data.yaml")]


def test_bad_labels_that_are_left_out_are_notes(data: Path) -> None:
    broken_data.boxes(data.parent)
    found = only(examined := examine(data, allow_bad_labels=True))
    assert (found.level, found.count) == (Level.NOTE, 16)
    assert examined.dataset is not None and examined.dataset.images["train"] == 22


def test_every_place_is_told_when_asked(data: Path) -> None:
    broken_data.boxes(data.parent)
    examined = examine(data)
    assert len(list(finding_lines(examined, every=True))) == len(list(finding_lines(examined, every=False))) + 16


def test_a_run_says_warnings_alone(data: Path) -> None:
    broken_data.same_image(data.parent)
    broken_data.unused_name(data.parent)
    warning, more = warning_lines(examine(data), data)
    assert "images/val/other.png" in warning and "yolotune check --data" in more


def test_the_page_of_a_study_reads_what_its_folder_keeps(tmp_path: Path) -> None:
    examined = examine(broken_data.make_broken(tmp_path / "broken"))
    write_summary(examined, tmp_path)
    assert read_summary(tmp_path) == Examination(examined.summary, examined.findings)
    (tmp_path / "summary.json").write_text('{"summary": null}')
    assert read_summary(tmp_path) is None


# Causes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\r\n<!doctype HTML><p>404", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\0" * 500, "zeros alone"),
        (b"no image", "in no format that is known"),
    ],
)
def test_an_unreadable_image_is_called_what_it_is(data: Path, content: bytes, what: str) -> None:
    import ultralytics  # noqa: F401 (it has Pillow ask for pi_heif)

    broken_data.image(data.parent, "train0001").write_bytes(content)
    found = only(examine(data))
    assert what in found.what and "heif" not in found.what


def test_a_path_that_hides_the_images_is_to_be_removed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data.parent / "elsewhere").mkdir()
    monkeypatch.chdir(data.parent / "elsewhere")
    text = data.read_text()
    data.write_text(f"path: .\n{text}")
    assert all("remove `path:`" in problem.fix for problem in examine(data).problems)
    data.write_text(text)
    assert examine(data).findings == ()


# Polygons ------------------------------------------------------------------------------------------------------------


def test_parts_that_are_joined_by_a_bridge_there_and_back_do_not_cross(data: Path) -> None:
    first = "0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3 0.1 0.1"
    other_way_round = "0.6 0.6 0.6 0.8 0.8 0.8 0.8 0.6 0.6 0.6"
    broken_data.add_row(data.parent, "train0000", f"0 {first} {other_way_round} 0.1 0.1")
    assert examine(data).findings == ()


# Images that show the same -------------------------------------------------------------------------------------------


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def _brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.2)


@pytest.mark.parametrize("change", [_half, _brighter, lambda image: image])
def test_an_image_that_was_saved_anew_is_found(data: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    folder = data.parent
    smooth = Image.effect_noise((80, 80), 90).resize((640, 640), Image.Resampling.BICUBIC).convert("RGB")
    smooth.save(broken_data.image(folder, "train0003"))
    broken_data.image(folder, "val0002").unlink()
    change(smooth).save(broken_data.image(folder, "val0002", "jpg"), quality=75)
    assert only(examine(data)).kind == "similar-image"


def test_a_comparison_is_kept_for_the_same_files_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(likeness, "WORTH_KEEPING_S", 0.0)
    broken_data.same_image(data.parent)
    assert only(examine(data)).kind == "same-image"
    monkeypatch.setattr(likeness, "_hash", None)  # what is kept needs no image
    assert only(examine(data)).kind == "same-image"
    os.utime(broken_data.image(data.parent, "train0001"), (0, 0))
    with pytest.raises(TypeError):
        examine(data)


def test_no_cache_is_kept_where_others_could_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert folder is not None and folder.stat().st_mode & 0o077 == 0
    folder.chmod(0o777)
    assert cache_folder() is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache_folder() is None
