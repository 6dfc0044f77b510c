"""The pictures of a training, drawn by Ultralytics' own functions from arrays. Importing it imports Ultralytics.

Each function draws under the file names of Ultralytics, into the folder that it is given. Labels are the same in all
trials of a study: what shows nothing else is drawn once and then copied.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.utils.metrics import ConfusionMatrix, plot_mc_curve, plot_pr_curve
from ultralytics.utils.plotting import plot_images, plot_labels, plot_results

#: What Ultralytics calls a part of the metrics in the names of its curves.
PREFIXES = {"box": "Box", "seg": "Mask"}


def labels(folder: Path, boxes: np.ndarray, classes: np.ndarray, names: dict[int, str]) -> None:
    """Draws how classes, places and sizes of the training labels are distributed.

    Args:
        folder: Of the curves.
        boxes: `(n, 4)`, centre and size, 0..1.
        classes: `(n,)`.
        names: Of all classes.
    """
    _once(folder / "labels.jpg", (boxes, classes), lambda: plot_labels(boxes, classes, names=names, save_dir=folder))


def train_batch(folder: Path, number: int, batch: dict[str, np.ndarray], paths: list[str]) -> None:
    """Draws images of a training batch with their labels.

    Args:
        folder: Of the curves.
        number: Of the batch.
        batch: Images `(n, channels, height, width)`, uint8, as `img`, and their labels.
        paths: Of the images.
    """
    plot_images(labels=batch, paths=paths, fname=folder / f"train_batch{number}.jpg", threaded=False)


def val_batch(
    folder: Path,
    number: int,
    batch: dict[str, np.ndarray],
    predictions: dict[str, np.ndarray],
    paths: list[str],
    names: dict[int, str],
) -> None:
    """Draws images of a validation batch, once with their labels and once with the predictions.

    Args:
        folder: Of the curves.
        number: Of the batch.
        batch: As for `train_batch`.
        predictions: As `validator.Evaluation.pictures` has them.
        paths: Of the images.
        names: Of all classes.
    """
    if "masks" in predictions:
        predictions = {**predictions, "masks": np.unpackbits(predictions["masks"], axis=-1)}
    predictions = {**predictions, "img": batch["img"]}

    def draw(shown: dict[str, np.ndarray], path: Path) -> None:
        plot_images(labels=shown, paths=paths, fname=path, names=names, threaded=False)

    labelled = folder / f"val_batch{number}_labels.jpg"
    _once(labelled, tuple(batch.values()), lambda: draw(batch, labelled))
    draw(predictions, folder / f"val_batch{number}_pred.jpg")


def curves(folder: Path, part: str, metric: Any, names: dict[int, str]) -> None:
    """Draws precision, recall and F1 over confidence, and precision over recall.

    Args:
        folder: Of the curves.
        part: `box` or `seg`.
        metric: `ultralytics.utils.metrics.Metric` after a validation.
        names: Of all classes.
    """
    if not len(metric.ap_class_index):  # no image has a label
        return
    prefix, labelled = PREFIXES[part], [int(one) for one in metric.ap_class_index]
    shown = {at: names[one] for at, one in enumerate(labelled) if one in names}
    plot_pr_curve(metric.px, metric.prec_values, metric.all_ap, folder / f"{prefix}PR_curve.png", shown)
    for letter, values, title in (
        ("F1", metric.f1_curve, "F1"),
        ("P", metric.p_curve, "Precision"),
        ("R", metric.r_curve, "Recall"),
    ):
        plot_mc_curve(metric.px, values, folder / f"{prefix}{letter}_curve.png", shown, ylabel=title)


def confusion(
    folder: Path, detections: list[tuple[np.ndarray, np.ndarray]], names: dict[int, str], conf: float
) -> None:
    """Draws the confusion matrix as counts and normalized.

    Args:
        folder: Of the curves.
        detections: As `validator.Evaluation.detections` has them.
        names: Of all classes.
        conf: Least confidence of a prediction that counts.
    """
    matrix = confusion_matrix(detections, names, conf)
    for normalize in (True, False):
        matrix.plot(normalize=normalize, save_dir=folder)


def confusion_matrix(
    detections: list[tuple[np.ndarray, np.ndarray]], names: dict[int, str], conf: float
) -> ConfusionMatrix:
    """Returns the confusion matrix of a validation; the arguments are those of `confusion`."""
    matrix = ConfusionMatrix(names=names)
    for found, labelled in ((torch.from_numpy(one), torch.from_numpy(other)) for one, other in detections):
        predictions = {"bboxes": found[:, :4], "conf": found[:, 4], "cls": found[:, 5]}
        matrix.process_batch(predictions, {"bboxes": labelled[:, :4], "cls": labelled[:, 4]}, conf=conf)
    return matrix


def results(folder: Path) -> None:
    """Draws the columns of results.csv over the epochs."""
    plot_results(file=folder / "results.csv")


#: Where this process has drawn a picture, by its name and what it shows.
_drawn: dict[tuple[str, bytes], Path] = {}


def _once(path: Path, shows: tuple[np.ndarray, ...], draw: Callable[[], None]) -> None:
    """Draws a picture, or copies the one of an earlier trial that shows the same."""
    digest = hashlib.blake2b()
    for values in shows:
        digest.update(np.ascontiguousarray(values).data)
    earlier = _drawn.get((path.name, digest.digest()))
    if earlier is not None and earlier.exists():
        if earlier != path:  # of a trial that goes on in this process
            shutil.copyfile(earlier, path)
        return
    draw()
    _drawn[path.name, digest.digest()] = path
