"""What is legal and known to cost F1 or to be in vain, each with its figure; said before a study begins."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

from yolotune.config import arguments
from yolotune.config.base import epochs_of
from yolotune.config.layers import PRESETS, read_preset
from yolotune.config.points import default_point
from yolotune.config.settings import Settings
from yolotune.config.space import countable
from yolotune.data.dataset import Dataset
from yolotune.errors import UserError
from yolotune.record.folder import new_folder, wanted_folder
from yolotune.record.study import read_study
from yolotune.schedulers.forecast import forecast, planned_trials, trials_for
from yolotune.tuner.settings_checks import largest_of, values_of


def advice(settings: Settings, dataset: Dataset) -> list[str]:
    """Returns what the user should know but need not change, a sentence each.

    Args:
        settings: Of the study, resolved.
        dataset: Its data.
    """
    return [
        *_of_data(settings, dataset),
        *_of_space(settings),
        *_of_plateau(settings),
        *_of_length(settings),
        *_of_defaults(settings, dataset),
    ]


def _of_data(settings: Settings, dataset: Dataset) -> Iterator[str]:
    for split, images in dataset.ignored.items():
        if images:
            yield f"{len(images)} images of {split} are left out, with bad labels or unreadable."
    if settings.preset in PRESETS and dataset.images["val"] < 30:
        yield f"{dataset.images['val']} validation images: one object more or less moves F1 visibly."


def _of_space(settings: Settings) -> Iterator[str]:
    optimizers = {str(name).lower() for name in values_of(settings, "optimizer", "auto")}
    adam = bool(optimizers & arguments.ADAM_FAMILY)
    lr0, perspective, hsv_h = (largest_of(settings, name, 0.0) for name in ("lr0", "perspective", "hsv_h"))
    if adam and lr0 > 0.03:
        yield f"lr0 up to {lr0:g}: AdamW diverges there; F1 was 0.01 at 0.05 and 0.35 at 0.003 (FoodSeg103)."
    if perspective > 0.002:
        yield f"perspective up to {perspective:g}: at 0.01 already 95 % of 640 px images fold over the horizon."
    if hsv_h > 0.1:
        yield f"hsv_h up to {hsv_h:g}: Ultralytics' own tuner ends at 0.1; 0.5 is any hue at all."
    warmup = largest_of(settings, "warmup_epochs", 3)
    if warmup >= settings.epochs:
        yield f"up to {warmup:g} warm-up epochs in a training of {settings.epochs}: Ultralytics warms up one less."
    if "dropout" in settings.domains:
        yield "dropout: Ultralytics reads it for classification only; one dimension of the search is in vain."
    if adam and largest_of(settings, "warmup_bias_lr", 0.1) >= 0.1:
        yield (
            "warmup_bias_lr is 0.1, 50 to 1000 times lr0 of an Adam optimizer, during warm-up; 0 is Ultralytics' own "
            "choice for AdamW."
        )


def _of_plateau(settings: Settings) -> Iterator[str]:
    rule = settings.plateau
    if rule and rule.rule == "std" and rule.num_results > 1:
        slope = rule.std / math.sqrt((rule.num_results**2 - 1) / 12)
        yield (
            f"plateau rule std: stops every curve that gains less than {slope:.4f} an epoch; the guide's numbers "
            "stopped 37 of 37 real curves, at epoch 13 (median), with 58 % of their F1."
        )
    if rule and rule.rule == "patience" and epochs_of(rule.patience, settings.epochs) >= settings.epochs:
        yield "plateau.patience is as long as a trial: it can stop none."


def _of_length(settings: Settings) -> Iterator[str]:
    size, trials, budget = countable(settings.domains), settings.trials, settings.cost_limit.epochs
    if size is not None and size < trials:
        yield f"the space has {size} points: after as many trials, not {trials}, all are tried."
    expected = forecast(settings, planned_trials(settings)).expected
    if budget is not None and expected > budget:
        fits = trials_for(settings, budget)
        yield (
            f"{trials} trials are expected to train {expected:,.0f} epochs; the budget of {budget:,} ends the search "
            f"before. It would carry {fits}, which are planned where no number of trials is given."
        )


def _of_defaults(settings: Settings, dataset: Dataset) -> Iterator[str]:
    moved = default_point(settings.domains, dataset.nc, settings.fixed.get("optimizer"))[1]
    if moved:
        yield f"trial 0 is Ultralytics' defaults, as near as the space allows: {'; '.join(moved)}."


def reminders(settings: Settings, folder: Path | None) -> Iterator[str]:
    """Yields what may be otherwise than the user has in mind.

    Args:
        settings: Of the study.
        folder: Of the study that is resumed; None for a new one.
    """
    if settings.preset in PRESETS:
        searched = read_preset(settings.preset)["space"]
        fixed = [f"{name} {value}" for name, value in settings.train.items() if name in searched]
        if fixed:
            yield f"fixed, not searched: {', '.join(fixed)}."
    if settings.fixed["imgsz"] != settings.imgsz:
        yield f"imgsz {settings.imgsz} becomes {settings.fixed['imgsz']}, a multiple of 32, as Ultralytics rounds it."
    wanted = wanted_folder(settings)
    if folder is None and (wanted / "study.yaml").exists() and new_folder(settings) != wanted:
        yield from _unfinished(wanted)


def _unfinished(folder: Path) -> Iterator[str]:
    """Yields that a study of this name was not ended, and how to continue it."""
    try:
        study = read_study(folder)
    except UserError:
        return  # damaged, and not asked for
    ended = sum(not trial.unfinished for trial in study.trials)
    if ended < study.settings.trials:
        how = f"yolotune resume {shlex.quote(str(folder))}, or this command with --resume"
        yield f"{folder} has {ended} of {study.settings.trials} trials; to continue it: {how}. This is another study."
