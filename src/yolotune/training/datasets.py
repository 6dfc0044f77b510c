"""The datasets that a training reads, made from the study's files. Importing this module imports Ultralytics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from yolotune._yaml import read_yaml
from yolotune.data.index import indexed_dataset_class
from yolotune.training.job import Job
from yolotune.training.kept import KeptBatches

#: Images of one batch of an evaluation: the default of `yolo val`, whatever a training's batch is. Images are padded to
#: the largest of their batch, so numbers depend on it; and each further shape costs a GPU seconds.
EVALUATION_BATCH = 16


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


class StudyData(BaseTrainer):
    """Mixin of an Ultralytics trainer: reads the study's indexes and shared images, not the dataset's own files."""

    job: Job

    def get_dataset(self) -> dict[str, Any]:
        return resolved_dataset(self.job.data, single_cls=self.args.single_cls)

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        split = "train" if mode == "train" or img_path == str(self.job.train_subset) else "val"
        stride = int(unwrap_model(self.model).stride.max())
        index = self.job.indexes[split]
        dataset = indexed_dataset(index, img_path, mode, batch, args=self.args, stride=stride, data=self.data)
        if self.job.images is not None:
            dataset.share_images(self.job.images)
        return dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        if mode == "train":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        return KeptBatches(super().get_dataloader(dataset_path, EVALUATION_BATCH, rank, mode))
