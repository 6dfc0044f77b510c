"""What a study has and needs: cores, GPUs, a place to keep it, and the disk it fills."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from yolotune.config.scheduling import HalvingSettings
from yolotune.config.settings import Settings
from yolotune.data.dataset import Dataset
from yolotune.data.images import stored_size
from yolotune.errors import Problem, fail
from yolotune.training.weights import size_of
from yolotune.tuner.cluster import Node
from yolotune.tuner.plan import Resources

#: Bytes of a trial's curves, plots and log; 2 to 3 MB were measured.
CURVES = 3_000_000
#: A checkpoint to resume from is so many times best.pt: an optimizer with two moments in single precision.
RESUMABLE = 5
#: What a paused training keeps beside (`training/resume_state.py`), in sizes of best.pt: weights and EMA, momentum and
#: gradients.
STATE = 8
#: Work of an image, in bytes of best.pt times pixels, from which more than one thread makes an epoch shorter. With
#: YOLO11n-seg on two cores a second thread costs 35 % at 96 px, 10 % at 128 px, nothing at 160 px, and saves 9 % at
#: 192 px (`benchmarks/cost/threads.py`). That larger models behave alike at smaller sizes is assumed.
THREADED = 5_900_000 * 160**2
#: Spare bytes beside the forecast.
SPARE = 200_000_000


def share_resources(settings: Settings, nodes: Sequence[Node] | None = None) -> Resources:
    """Returns the CPU and GPU share of a trial.

    Args:
        settings: Of the study.
        nodes: Of the cluster; None for this machine alone.

    Raises:
        UserError: Machine, cards or nodes cannot carry so many trials at once.
    """
    return _share_of_machine(settings) if nodes is None else _share_of_cluster(settings, nodes)


def usable_cores() -> int:
    """Returns the CPU cores that this process may use; all of the machine where the system does not say (macOS)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _share_of_machine(settings: Settings) -> Resources:
    import torch

    seen = torch.cuda.device_count()
    device = None if settings.device is None else str(settings.device).lower()
    visible = None
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")  # 0 is the first card of those that are seen
    if device not in (None, "cpu"):
        wanted = [part.strip() for part in str(device).split(",")]
        if not all(part.isdigit() and int(part) < seen for part in wanted):
            have = f"GPUs 0 to {seen - 1}" if seen else "no GPU"
            raise fail(
                "device",
                f"got {settings.device!r}, and this machine shows {have}.",
                "use --device cpu or a GPU it has.",
            )
        chosen = [cards[int(part)] if len(cards) >= seen and cards[0] else part for part in wanted]
        visible, seen = ",".join(chosen), len(wanted)
    gpus = 0.0 if device == "cpu" else float(seen if settings.gpus is None else settings.gpus)
    cpus = settings.cpus or usable_cores()
    if gpus > seen:
        raise fail("gpus", f"{gpus:g} wanted, {seen} seen.", "lower --gpus, or check CUDA_VISIBLE_DEVICES.")
    fits = _fit_on_gpus(gpus, gpus / settings.concurrent) if gpus else cpus
    _require(
        settings, fits, f"{gpus:g} GPUs at {gpus / settings.concurrent:.3g} each" if gpus else f"{cpus} CPU cores", gpus
    )
    return Resources(gpus, cpus, gpus / settings.concurrent, cpus / settings.concurrent, visible)


def _share_of_cluster(settings: Settings, nodes: Sequence[Node]) -> Resources:
    """As on one machine, but a trial lies on one node, and Ray chooses the card.

    Where the study does not say how many cores and cards it uses, each trial gets as many as let all of them be placed.
    """
    device = None if settings.device is None else str(settings.device).lower()
    if device not in (None, "cpu"):
        raise fail(
            "device", f"got {settings.device!r}; on a cluster Ray assigns the cards.", "leave it out, or say cpu."
        )
    seen, cores = sum(node.gpus for node in nodes), int(sum(node.cpus for node in nodes))
    gpus = 0.0 if device == "cpu" else float(seen if settings.gpus is None else settings.gpus)
    cpus = settings.cpus or cores
    for name, wanted, there in (("gpus", gpus, seen), ("cpus", cpus, cores)):
        if wanted > there:
            raise fail(name, f"{wanted:g} wanted, the cluster has {there:g}.", f"lower --{name}, or add nodes.")
    gpu_share = gpus / settings.concurrent
    if settings.gpus is None and gpus:  # a training uses one card; a part of one lies on one card
        gpu_share = 1.0 if gpu_share >= 1 else 1 / math.ceil(1 / gpu_share - 1e-9)
    share = cpus / settings.concurrent
    if settings.cpus is None:
        shares = sorted(
            {node.cpus / part for node in nodes for part in range(1, settings.concurrent + 1)}, reverse=True
        )
        share = next((one for one in shares if _fit(nodes, one, gpu_share) >= settings.concurrent), share)
    have = ", ".join(f"{node.name}: {node.cpus:g} cores, {node.gpus:g} GPUs" for node in nodes)
    on = f"{share:.3g} cores and {gpu_share:.3g} GPUs each ({have})"
    _require(settings, _fit(nodes, share, gpu_share), on, gpus)
    return Resources(gpus, cpus, gpu_share, share)


def _fit(nodes: Sequence[Node], share: float, gpu_share: float) -> int:
    """Returns how many trials of a share the nodes carry."""
    fits = 0
    for node in nodes:
        by_cores = int(node.cpus / share + 1e-9)
        fits += min(by_cores, _fit_on_gpus(node.gpus, gpu_share)) if gpu_share else by_cores
    return fits


def _require(settings: Settings, fits: int, on: str, gpus: float) -> None:
    if settings.concurrent > fits:
        other = f"use --concurrent {fits}, or raise" if fits else "lower --concurrent, or change"
        fix = f"{other} {'--gpus' if gpus else '--cpus'}."
        raise fail("concurrent", f"{settings.concurrent} trials at once on {on}: {fits} fit.", fix)


def _fit_on_gpus(gpus: float, share: float) -> int:
    """Returns how many trials Ray can place: a share of a card lies on one card, whole cards are whole."""
    if share >= 1:
        return int(gpus // math.ceil(share - 1e-9))
    per_card = int(1 / share + 1e-9)
    return per_card * int(gpus) + int((gpus % 1) / share + 1e-9)


def with_threads(resources: Resources, settings: Settings, model: str) -> Resources:
    """Returns what each trial has, with one thread only where it is a CPU and the images are too small for more.

    Args:
        resources: As `share_resources` returned them.
        settings: Of the study.
        model: As `find_model` returned it.
    """
    imgsz = settings.fixed.get("imgsz")
    if resources.gpu_share or resources.threads == 1 or not isinstance(imgsz, int):
        return resources
    return replace(resources, one_thread=size_of(model) * imgsz**2 < THREADED)


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
    """Returns the bytes of the decoded images that trainings share, and the sentence that says so.

    They are shared where half of the free memory holds them, so that they need not be read from the disk again and
    again, and where there is room for them on the disk.

    Args:
        settings: Of the study, resolved.
        dataset: Its data.
        disk: Bytes that the study leaves free.
        machines: That run its trials; each keeps images of its own.

    Returns:
        0 where each training decodes its own images: there is no room, or the user said `cache=False`. The sentence is
        empty where the user said so.
    """
    imgsz = settings.fixed.get("imgsz")
    if settings.fixed.get("cache") is False or not isinstance(imgsz, int):
        return 0, ""
    fraction = settings.fixed.get("fraction", 1.0)
    trained = fraction if isinstance(fraction, int) else max(1, round(dataset.images["train"] * fraction))
    shapes = [*dataset.pixels["train"][:trained], *dataset.pixels["val"]]
    size = sum(stored_size(*shape, imgsz, dataset.channels) for shape in shapes)
    memory, megabytes = psutil.virtual_memory().available // 2, f"{size / 1e6:,.0f} MB"
    if size > memory:
        half = f"{memory / 1e6:,.0f} MB, half of the free memory"
        return 0, f"every trial decodes its images anew: all {megabytes} of them do not fit into {half}."
    if size * machines > disk:
        return 0, f"every trial decodes its images anew: the disk has no room for all {megabytes} of them."
    return size * machines, f"images are decoded once for all trials, {megabytes} in the study's folder while it runs."


def disk_needed(settings: Settings, model: str, tracking: str) -> int:
    """Returns the bytes that a study fills at most.

    An ended trial keeps its curves and best.pt, if its weights are kept at all; offline runs of the tracker hold both
    again. A running one holds last.pt and best.pt with the optimizer, and those of the epoch that is not in the record
    yet; a paused one the former two and state.pt. There are no more batches under way than slots: a slot begins one
    only when those before are waiting for trials that train.

    Args:
        settings: Of the study, resolved.
        model: As `find_model` returned it.
        tracking: Mode of the tracker.
    """
    size, trials = size_of(model), settings.trials
    kept = settings.weights_kept
    best = trials if kept is None else min(trials, kept + 1)
    copies = trials * (size + CURVES) if tracking == "offline" else 0
    resumable = 4 * RESUMABLE * settings.concurrent
    if isinstance(settings.scheduler, HalvingSettings):
        paused = max(0, min(trials, settings.concurrent * settings.scheduler.batch) - settings.concurrent)
        resumable += (2 * RESUMABLE + STATE) * paused
    return (best + resumable) * size + trials * CURVES + copies
