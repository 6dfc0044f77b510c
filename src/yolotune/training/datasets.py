"""The datasets that a training reads, made from the study's files. Importing this module imports Ultralytics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolotune._yaml import read_yaml
from yolotune.data.index import indexed_dataset_class


def resolved_dataset(path: Path, *, single_cls: bool) -> dict[str, Any]:
    """Returns what `BaseTrainer.get_dataset` would, without its check, which can download and run code.

    Args:
        path: The resolved data.yaml of a study.
        single_cls: Whether all classes are trained as one.
    """
    data = read_yaml(path)
    names = {0: "item"} if single_cls else {int(k): str(v) for k, v in data["names"].items()}
    return {**data, "names": names, "nc": len(names), "channels": data.get("channels", 3), "path": path.parent}


def indexed_dataset(
    index: Path, images: Any, mode: str, batch: int | None, *, args: Any, stride: int, data: Mapping[str, Any]
) -> Any:
    """Returns what `ultralytics.data.build_yolo_dataset` would, with the labels of an index.

    Args:
        index: Label index of the split.
        images: Folders or lists of images.
        mode: `train`, with augmentation, or `val`.
        batch: Images of one batch.
        args: Ultralytics' arguments.
        stride: Of the model.
        data: As `resolved_dataset` returns it.
    """
    train = mode == "train"
    return indexed_dataset_class(index)(
        img_path=images,
        imgsz=args.imgsz,
        batch_size=batch,
        augment=train,
        hyp=args,
        rect=args.rect or not train,
        single_cls=args.single_cls or False,
        stride=max(int(stride), 32),
        pad=0.0 if train else 0.5,
        prefix=f"{mode}: ",
        task=args.task,
        classes=args.classes,
        data=data,
        fraction=args.fraction if train else 1.0,
    )
