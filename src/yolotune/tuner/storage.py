"""The place of a study: whether it can be written to, the disk it fills, the decoded images that trials share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil

from yolotune.config.scheduling import HalvingSettings
from yolotune.config.settings import Settings
from yolotune.data.dataset import Dataset
from yolotune.data.images import stored_size
from yolotune.errors import Problem
from yolotune.training.weights import size_of

#: Bytes of a trial's curves, plots and log; 2 to 3 MB were measured.
CURVES = 3_000_000
#: A checkpoint to resume from is so many times best.pt: an optimizer with two moments in single precision.
RESUMABLE = 5
#: What a paused training keeps beside (`training/resume_state.py`), in sizes of best.pt: weights and EMA, momentum and
#: gradients.
STATE = 8
#: Spare bytes beside the forecast.
SPARE = 200_000_000


def existing(folder: Path) -> Path:
    """Returns a folder, or the nearest above it that is there."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def check_storage(folder: Path, needed: int = 0, *, goes_on: bool = False) -> list[Problem]:
    """Returns what is wrong with the place where the study would be kept; nothing is created.

    Args:
        folder: The study's folder.
        needed: Bytes that it will fill at most.
        goes_on: Whether it holds the study already.
    """
    if (folder / "trials").exists() and not goes_on:
        return [Problem(str(folder), "holds a study already.", "use --resume, or choose another --name.")]
    place = existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return [Problem(str(place), "cannot be written to.", "give another place with --project or --storage.")]
    if disk_left(folder, needed, goes_on=goes_on) < 0:
        free = shutil.disk_usage(place).free
        what = f"{free / 1e9:.2g} GB free, the study fills up to {(needed + SPARE) / 1e9:.2g} GB."
        fix = "free some space, give another --project or --storage, or keep less with --keep-weights best."
        return [Problem(str(place), what, fix)]
    return []


def disk_left(folder: Path, needed: int, *, goes_on: bool = False) -> int:
    """Returns how many bytes of the disk a study leaves free beside the spare ones; below 0 it does not fit.

    Args:
        folder: The study's folder.
        needed: Bytes that it will fill at most.
        goes_on: Whether it holds the study already.
    """
    stats = [file.stat() for file in folder.rglob("*") if file.is_file()] if goes_on else []
    there = sum(min(stat.st_size, 512 * stat.st_blocks) for stat in stats)  # decoded images are sparse files
    return shutil.disk_usage(existing(folder)).free - max(0, needed - there) - SPARE


def share_images(settings: Settings, dataset: Dataset, disk: int, machines: int = 1) -> tuple[int, str]:
    """Returns the bytes of the decoded images that trainings share, and why there are none.

    They are shared where half of the free memory holds them, so that they need not be read from the disk again and
    again, and where there is room for them on the disk.

    Args:
        settings: Of the study, resolved.
        dataset: Its data.
        disk: Bytes that the study leaves free.
        machines: That run its trials; each keeps images of its own.

    Returns:
        0 where each training decodes its own images: there is no room, which the sentence says, or the user said
        `cache=False`.
    """
    imgsz = settings.fixed.get("imgsz")
    if settings.fixed.get("cache") is False or not isinstance(imgsz, int):
        return 0, ""
    trained = dataset.trained(settings.fixed.get("fraction", 1.0))
    shapes = [*dataset.pixels["train"][:trained], *dataset.pixels["val"]]
    size = sum(stored_size(height, width, imgsz, dataset.channels) for width, height in shapes)
    memory, megabytes = psutil.virtual_memory().available // 2, f"{size / 1e6:,.0f} MB"
    if size > memory:
        half = f"{memory / 1e6:,.0f} MB, half of the free memory"
        return 0, f"every trial decodes its images anew: all {megabytes} of them do not fit into {half}."
    if size * machines > disk:
        return 0, f"every trial decodes its images anew: the disk has no room for all {megabytes} of them."
    return size * machines, ""


def disk_needed(settings: Settings, model: str, tracking: str, slots: int) -> int:
    """Returns the bytes that a study fills at most.

    An ended trial keeps its curves and best.pt, if its weights are kept at all; offline runs of the tracker hold both
    again. A running one holds last.pt and best.pt with the optimizer, and those of the epoch that is not in the record
    yet; a paused one the former two and state.pt. There are no more batches under way than slots: a slot begins one
    only when those before are waiting for trials that train.

    Args:
        settings: Of the study, resolved.
        model: As `find_model` returned it.
        tracking: Mode of the tracker.
        slots: Trials at a time, at most.
    """
    size, trials = size_of(model), settings.trials
    kept = settings.weights_kept
    best = trials if kept is None else min(trials, kept + 1)
    copies = trials * (size + CURVES) if tracking == "offline" else 0
    resumable = 4 * RESUMABLE * slots
    if isinstance(settings.scheduler, HalvingSettings):
        paused = max(0, min(trials, slots * settings.scheduler.batch) - slots)
        resumable += (2 * RESUMABLE + STATE) * paused
    return (best + resumable) * size + trials * CURVES + copies
