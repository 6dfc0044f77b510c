"""The cores and cards of a study, and what each trial gets of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace

from yolotune.config.settings import Settings
from yolotune.errors import fail
from yolotune.training.weights import size_of
from yolotune.tuner.cluster import Node
from yolotune.tuner.plan import Resources

#: Work of an image, in bytes of best.pt times pixels, from which more than one thread makes an epoch shorter. With
#: YOLO11n-seg on two cores a second thread costs 35 % at 96 px, 10 % at 128 px, nothing at 160 px, and saves 9 % at
#: 192 px (`benchmarks/cost/threads.py`). That larger models behave alike at smaller sizes is assumed.
THREADED = 5_900_000 * 160**2
#: A search opens one slot for so many trials by itself: more at a time learn less from each other.
LEARNED_FROM = 4


def share_resources(settings: Settings, nodes: Sequence[Node] | None = None, *, learns: bool = True) -> Resources:
    """Returns how many trials train at a time at most, and the CPU and GPU share of each.

    Args:
        settings: Of the study, resolved.
        nodes: Of the cluster; None for this machine alone.
        learns: Whether trials learn from those before.

    Raises:
        UserError: Machine, cards or nodes cannot carry so many trials at once.
    """
    most = max(1, settings.trials // LEARNED_FROM) if learns else settings.trials
    return _share_of_machine(settings, most) if nodes is None else _share_of_cluster(settings, nodes, most)


def usable_cores() -> int:
    """Returns the CPU cores that this process may use; all of the machine where the system does not say (macOS)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _share_of_machine(settings: Settings, most: int) -> Resources:
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
    slots = min(most, cpus) if settings.concurrent == "auto" else settings.concurrent
    if not gpus:
        _require(slots, cpus, f"{cpus} CPU cores", gpus)
    return Resources(
        gpus=gpus,
        cpus=cpus,
        slots=slots,
        auto=settings.concurrent == "auto" and slots > 1,
        gpu_share=gpus / slots,
        cpu_share=cpus / slots,
        cards=math.ceil(gpus),
        visible=visible,
    )


def _share_of_cluster(settings: Settings, nodes: Sequence[Node], most: int) -> Resources:
    """As on one machine, but a trial lies on one node, and Ray chooses node and card.

    `auto` is a slot for each card, or for each core without cards; they are open from the beginning. Where the study
    does not say how many cores and cards it uses, each trial gets as many as let all of them be placed.
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
    slots = max(1, min(most, int(gpus or cpus))) if settings.concurrent == "auto" else settings.concurrent
    gpu_share = gpus / slots
    if settings.gpus is None and gpus:  # a training uses one card; a part of one lies on one card
        gpu_share = 1.0 if gpu_share >= 1 else 1 / math.ceil(1 / gpu_share - 1e-9)
    share = cpus / slots
    if settings.cpus is None:
        shares = sorted({node.cpus / part for node in nodes for part in range(1, slots + 1)}, reverse=True)
        share = next((one for one in shares if _fit(nodes, one, gpu_share) >= slots), share)
    have = ", ".join(f"{node.name}: {node.cpus:g} cores, {node.gpus:g} GPUs" for node in nodes)
    on = f"{share:.3g} cores and {gpu_share:.3g} GPUs each ({have})"
    _require(slots, _fit(nodes, share, gpu_share), on, gpus)
    return Resources(gpus=gpus, cpus=cpus, slots=slots, auto=False, gpu_share=gpu_share, cpu_share=share)


def _fit(nodes: Sequence[Node], share: float, gpu_share: float) -> int:
    """Returns how many trials of a share the nodes carry."""
    fits = 0
    for node in nodes:
        by_cores = int(node.cpus / share + 1e-9)
        fits += min(by_cores, _fit_on_gpus(node.gpus, gpu_share)) if gpu_share else by_cores
    return fits


def _require(slots: int, fits: int, on: str, gpus: float) -> None:
    if slots > fits:
        other = f"use --concurrent {fits}, or raise" if fits else "lower --concurrent, or change"
        fix = f"{other} {'--gpus' if gpus else '--cpus'}."
        raise fail("concurrent", f"{slots} trials at once on {on}: {fits} fit.", fix)


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
