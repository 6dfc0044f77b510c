"""A dataset with everything wrong that the data doctor knows of; the page docs/data.md shows what it says of it.

python tests/broken_data.py FOLDER
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from yolotune.data.shapes import make_shapes

BOX = "0 0.5 0.5 0.2 0.2"
SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))


def make_healthy(folder: Path) -> Path:
    """Writes a dataset in which there is nothing to find, and returns its data.yaml."""
    return make_shapes(folder, train=30, val=12, size=96)


def square(label: int, x: float, y: float, side: float, order: tuple[int, ...] = (0, 1, 2, 3)) -> str:
    """Returns the label row of a square; another order of its corners makes it cross itself."""
    corners = [SQUARE[corner] for corner in order]
    return " ".join([str(label), *(f"{x + side * a:.5f} {y + side * b:.5f}" for a, b in corners)])


def image(folder: Path, name: str, ending: str = "png") -> Path:
    return folder / "images" / name.rstrip("0123456789") / f"{name}.{ending}"


def label_of(folder: Path, name: str) -> Path:
    return folder / "labels" / name.rstrip("0123456789") / f"{name}.txt"


def add_row(folder: Path, name: str, *rows: str) -> None:
    with label_of(folder, name).open("a") as file:
        file.writelines(f"{row}\n" for row in rows)


def add_name(folder: Path, name: str) -> int:
    """Adds a class and returns its id."""
    data = folder / "data.yaml"
    index = data.read_text().count("\n  ")
    data.write_text(f"{data.read_text()}  {index}: {name}\n")
    return index


def copy(folder: Path, split: str, name: str, to: str, new: str) -> None:
    """Copies an image and its labels under a new name."""
    for kind, ending in (("images", "png"), ("labels", "txt")):
        shutil.copy(folder / kind / split / f"{name}.{ending}", folder / kind / to / f"{new}.{ending}")


# What is likely wrong ------------------------------------------------------------------------------------------------


def same_name(folder: Path) -> None:
    index = add_name(folder, "Circle")
    for name in ("train0000", "val0000"):
        add_row(folder, name, square(index, 0.02, 0.02, 0.1))


def unused_name(folder: Path) -> None:
    add_name(folder, "star")


def class_not_in_train(folder: Path) -> None:
    add_row(folder, "val0001", square(add_name(folder, "moon"), 0.02, 0.02, 0.1))


def class_not_in_val(folder: Path) -> None:
    add_row(folder, "train0001", square(add_name(folder, "sun"), 0.02, 0.02, 0.1))


def unlabelled_images(folder: Path) -> None:
    for name in sorted((folder / "labels" / "val").glob("val*.txt"))[2:]:
        name.rename(name.with_suffix(".json"))


def small_objects(folder: Path) -> None:
    rows = [square(0, 0.02 + 0.015 * column, 0.03 * row, 0.011) for row in range(1, 4) for column in range(10)]
    add_row(folder, "train0002", *rows)


def near_empty(folder: Path) -> None:
    add_row(folder, "train0003", *[square(1, 0.02 + 0.01 * column, 0.02, 0.005) for column in range(4)])


def elongated(folder: Path) -> None:
    Image.effect_noise((400, 60), 40).save(folder / "images" / "train" / "strip.png")
    (folder / "labels" / "train" / "strip.txt").touch()


def crossing(folder: Path) -> None:
    add_row(folder, "train0004", *[square(1, 0.02, 0.02 + 0.2 * row, 0.15, (0, 2, 1, 3)) for row in range(4)])


def no_area(folder: Path) -> None:
    add_row(folder, "train0005", "2 0.5 0.5 0.5 0.5 0.5 0.5")


def repeated_row(folder: Path) -> None:
    add_row(folder, "train0006", label_of(folder, "train0006").read_text().splitlines()[0])


def label_without_image(folder: Path) -> None:
    (folder / "labels" / "train" / "lost.txt").write_text(f"{square(0, 0.1, 0.1, 0.5)}\n")


def passed_over(folder: Path) -> None:
    Image.new("RGB", (64, 64)).save(folder / "images" / "train" / "scan.gif")


def same_image(folder: Path) -> None:
    copy(folder, "train", "train0007", "val", "other")


def similar_image(folder: Path) -> None:
    copy(folder, "train", "train0008", "val", "again")
    with Image.open(folder / "images" / "val" / "again.png") as opened:
        opened.save(folder / "images" / "val" / "again.jpg", quality=90)
    (folder / "images" / "val" / "again.png").unlink()


def copy_in_split(folder: Path) -> None:
    copy(folder, "train", "train0009", "train", "twin")


def same_photograph(folder: Path) -> None:
    for split in ("train", "val"):
        rename(folder, split, f"{split}0000", f"street_jpg.rf.{split}")


def same_video(folder: Path) -> None:
    for split, frame in (("train", 10), ("train", 11), ("val", 12)):
        rename(folder, split, f"{split}{frame - 1:04}", f"clip3_frame_{frame:05}")


def rename(folder: Path, split: str, name: str, new: str) -> None:
    for kind, ending in (("images", "png"), ("labels", "txt")):
        (folder / kind / split / f"{name}.{ending}").rename(folder / kind / split / f"{new}.{ending}")


#: What the doctor calls it, and how to do it.
LIKELY_WRONG: dict[str, Callable[[Path], None]] = {
    "same-name": same_name,
    "class-not-in-train": class_not_in_train,
    "class-not-in-val": class_not_in_val,
    "unused-name": unused_name,
    "small-objects": small_objects,
    "near-empty": near_empty,
    "elongated": elongated,
    "crossing": crossing,
    "no-area": no_area,
    "repeated-row": repeated_row,
    "label-without-image": label_without_image,
    "passed-over": passed_over,
    "same-image": same_image,
    "similar-image": similar_image,
    "copy-in-split": copy_in_split,
    "same-photograph": same_photograph,
    "same-video": same_video,
    "unlabelled-images": unlabelled_images,
}


# What is wrong -------------------------------------------------------------------------------------------------------


def boxes(folder: Path) -> None:
    for number in range(12, 20):
        add_row(folder, f"train00{number}", BOX, BOX)


def class_beyond(folder: Path) -> None:
    add_row(folder, "train0020", square(70, 0.1, 0.1, 0.5))


def outside(folder: Path) -> None:
    add_row(folder, "train0021", square(0, 0.6, 0.6, 0.6))


def empty_file(folder: Path) -> None:
    image(folder, "train0022").write_bytes(b"")


def web_page(folder: Path) -> None:
    image(folder, "train0023").write_text("<!DOCTYPE html><html><body>Not found</body></html>")


def truncated(folder: Path) -> None:
    file = image(folder, "train0024", "jpg")
    Image.new("RGB", (64, 64)).save(file)
    file.write_bytes(file.read_bytes()[:-2])
    image(folder, "train0024").unlink()


#: What the doctor calls it, and how to do it.
WRONG: dict[str, Callable[[Path], None]] = {
    "box": boxes,
    "nc": class_beyond,
    "range": outside,
    "image": empty_file,
    "truncated": truncated,
}


def make_broken(folder: Path) -> Path:
    """Writes a dataset with all of it wrong at once, and returns its data.yaml."""
    data = make_healthy(folder)
    for spoil in (*WRONG.values(), web_page, *LIKELY_WRONG.values()):
        spoil(folder)
    return data


if __name__ == "__main__":
    print(make_broken(Path(sys.argv[1])))
