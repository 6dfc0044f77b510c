"""Everything that can be known before the first epoch, checked together.

`check` either returns a `Plan` that will run, or raises one `UserError` with all problems of study, space, points,
dataset, weights, resources and storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from yolotune.config import arguments
from yolotune.config.early_stopping import epochs_of
from yolotune.config.layers import PRESETS
from yolotune.config.points import default_point, read_points
from yolotune.config.settings import Settings
from yolotune.config.space import MAX_GRID, Choice, Point, Uniform, Value, countable, grid_size
from yolotune.data.dataset import Dataset, load_dataset
from yolotune.errors import Problem, UserError
from yolotune.report.status import planned_trials
from yolotune.schedulers.forecast import trials_for
from yolotune.search.warm_start import Here, Warm, decided, warm_points
from yolotune.tracking.wandb_preflight import preflight
from yolotune.training.job import isolate
from yolotune.training.weights import find_model
from yolotune.tuner.cluster import Node, address_of, survey
from yolotune.tuner.plan import Plan
from yolotune.tuner.resources import check_storage, existing, forecast, share_out, suited

MOSAIC_FAMILY = ("mosaic", "copy_paste", "mixup", "cutmix")
T = TypeVar("T")


def check(study: Settings, folder: Path | None = None, *, searches: bool = True) -> Plan:
    """Returns what is to be run, or raises everything that is wrong with it.

    Args:
        study: The settings.
        folder: Of the study that is to go on; None for a new one.
        searches: Whether the space is a user's; otherwise nothing but the seed varies.

    Raises:
        UserError: All problems at once.
    """
    isolate()
    problems: list[Problem] = []

    def attempt(part: Callable[[], T]) -> T | None:
        try:
            return part()
        except UserError as error:
            problems.extend(error.problems)
            return None

    problems += check_settings(study) if searches else check_fixed(study)
    dataset = attempt(lambda: load_dataset(study.data, allow_bad_labels=study.allow_bad_labels))
    model = attempt(lambda: find_model(study.model))
    wandb, warning = preflight(study.wandb)
    disk = forecast(study, model, wandb) if model else 0
    unfit = check_storage(folder or study.folder(), disk, goes_on=folder is not None)
    problems += unfit
    nodes: list[Node] | None = None
    address = address_of(study.address)
    if address and not unfit:
        surveyed = attempt(lambda: survey(address, dataset, model, existing(folder or study.folder())))
        nodes, unfit = surveyed or ([], [])
        problems += unfit
    resources = attempt(lambda: share_out(study, nodes)) if nodes is None or nodes else None
    points: list[Point] = []
    warm = Warm([], [], [])
    if not study.parsed[2]:
        read = attempt(lambda: read_points(study, dataset.nc if dataset else 1))
        if read:
            points = read[0]
            problems += read[1]
        here = Here(dataset.nc if dataset else 1, dataset.fingerprint if dataset else "", model or study.model)
        warm = attempt(lambda: warm_points(study, here, folder)) or warm
        points = [*points[:1], *warm.points, *points[1:]]
        points = [point for place, point in enumerate(points) if point not in points[:place]]
    if problems or dataset is None or model is None or resources is None:
        raise UserError(problems)
    study, chosen = decided(study, warm)
    said = [*notes(study, dataset), *warm.notes, *chosen, *([warning] if warning else [])]
    return Plan(study, dataset, model, points, warm, suited(resources, study, model), wandb, disk, said)


def check_settings(study: Settings) -> list[Problem]:
    """Returns what is wrong with space, fixed arguments and stopping rules, taken by themselves and together."""
    unread = study.parsed[2]
    problems = [*unread, *arguments.check_space(study.domains, "space"), *check_fixed(study)]
    for name in sorted(set(study.train) & set(study.space)):
        fix = f"remove {name} from the space (`yolotune init` writes one to edit), or from the fixed arguments."
        problems.append(Problem(name, "is searched and fixed at the same time.", fix))
    if not study.domains:
        problems.append(Problem("space", "nothing varies, so there is nothing to search.", "add a range or a choice."))
    return problems + _combinations(study) + _search(study) + _stopping(study)


def check_fixed(study: Settings) -> list[Problem]:
    """Returns what is wrong with the arguments that do not vary."""
    known = arguments.ultralytics_defaults()
    fixed = {name: value for name, value in study.fixed.items() if name in known}
    return [
        *arguments.check_names(study.train, "train", searched=False),
        *arguments.check_names(study.parsed[1], "space", searched=False),
        *arguments.check_values(fixed, "train"),
    ]


def _combinations(study: Settings) -> list[Problem]:
    """Returns combinations of arguments that make a search pointless."""
    problems = []
    names = _values(study, "optimizer", "auto")
    optimizers = {name.lower() for name in names if isinstance(name, str)}  # others are `check_values`' business
    inert = [name for name in ("lr0", "momentum") if name in study.domains]
    if "auto" in optimizers and inert:
        what = f"optimizer 'auto' ignores {' and '.join(inert)}, which this study searches."
        problems.append(Problem("optimizer", what, "set optimizer: AdamW or SGD, or search choice([AdamW, SGD])."))
    unknown = optimizers - arguments.ADAM_FAMILY - {"sgd", "musgd", "rmsprop", "auto"}
    if unknown:
        known = "SGD, MuSGD, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, auto"
        problems.append(Problem("optimizer", f"Ultralytics knows no {', '.join(sorted(unknown))}.", f"use {known}."))
    searched = [name for name in MOSAIC_FAMILY if name in study.domains]
    closes = _largest(study, "close_mosaic", 10)
    if searched and closes >= study.epochs:
        what = f"close_mosaic {closes:g} switches off {', '.join(searched)} in all {study.epochs} epochs."
        problems.append(Problem("close_mosaic", what, "set close_mosaic below the epochs; 0.1 means a tenth of them."))
    return problems


def _values(study: Settings, name: str, default: Value) -> tuple[Value, ...]:
    """Returns the values an argument can take in a study: the ends of its range, or the fixed one."""
    domain = study.domains.get(name)
    return domain.ends() if domain is not None else (study.fixed.get(name, default),)


def _largest(study: Settings, name: str, default: float) -> float:
    """Returns the largest number an argument can take; what is no number is `check_values`' business."""
    return max(
        (float(value) for value in _values(study, name, default) if isinstance(value, (int, float))), default=default
    )


def _search(study: Settings) -> list[Problem]:
    """Returns a problem for each distribution that the chosen search cannot handle."""
    grids = [name for name, domain in study.domains.items() if isinstance(domain, Choice) and domain.grid]
    if study.search != "grid":
        fix = "write choice([...]), or use --search grid."
        return [
            Problem(f"space: {name}", f"grid_search cannot be sampled by --search {study.search}.", fix)
            for name in grids
        ]
    endless = [name for name, domain in study.domains.items() if isinstance(domain, Uniform)]
    fix = "write grid_search([...]), or use --search tpe."
    problems = [Problem(f"space: {name}", "--search grid needs a list of values.", fix) for name in endless]
    size = grid_size(study.domains)
    if size > MAX_GRID:
        what = f"a grid of {size:,} points, {MAX_GRID:,} at most."
        problems.append(Problem("search", what, "fix some arguments, shorten the lists, or use --search tpe."))
    return problems


def _stopping(study: Settings) -> list[Problem]:
    problems = []
    ceiling = study.ceiling.epochs
    if ceiling is not None and ceiling < study.epochs:
        what = f"{study.ceiling} are fewer than the {study.epochs} of one training; a plain number means epochs."
        problems.append(Problem("budget", what, "raise it, lower --epochs, or give a time such as 8h."))
    if study.asha and study.grace_period > study.epochs:
        what = f"the first rung at epoch {study.grace_period} comes after the last of {study.epochs} epochs."
        problems.append(Problem("asha.grace_period", what, "lower it, or leave ASHA out with --no-asha."))
    elif study.scheduler == "halving" and study.asha:
        if study.asha.brackets > 1:
            what = f"{study.asha.brackets} brackets, and halving has none."
            problems.append(Problem("asha.brackets", what, "leave it out, or use --scheduler asha."))
    elif study.asha:
        rungs = int(math.log(study.max_t / study.grace_period) / math.log(study.asha.reduction_factor) + 1)
        if study.asha.brackets > rungs:
            what = f"{study.asha.brackets} brackets, but only {rungs} rungs."
            problems.append(Problem("asha.brackets", what, f"use at most {rungs}."))
    return problems


def notes(study: Settings, dataset: Dataset) -> list[str]:
    """Returns what is legal and known to cost F1 or to be in vain, each with its figure."""
    left_out = {split: len(images) for split, images in dataset.ignored.items() if images}
    said = [
        f"{count} images of {split} are left out, with bad labels or unreadable." for split, count in left_out.items()
    ]
    optimizers = {str(name).lower() for name in _values(study, "optimizer", "auto")}
    adam = bool(optimizers & arguments.ADAM_FAMILY)
    top = {name: _largest(study, name, 0.0) for name in ("lr0", "perspective", "hsv_h")}
    if adam and top["lr0"] > 0.03:
        said.append(
            f"lr0 up to {top['lr0']:g}: AdamW diverges there; F1 was 0.01 at 0.05 and 0.35 at 0.003 (FoodSeg103)."
        )
    if top["perspective"] > 0.002:
        said.append(
            f"perspective up to {top['perspective']:g}: at 0.01 already 95 % of 640 px images fold over the horizon."
        )
    if top["hsv_h"] > 0.1:
        said.append(f"hsv_h up to {top['hsv_h']:g}: Ultralytics' own tuner ends at 0.1; 0.5 is any hue at all.")
    warmup = _largest(study, "warmup_epochs", 3)
    if warmup >= study.epochs:
        said.append(f"up to {warmup:g} warm-up epochs in a training of {study.epochs}: Ultralytics warms up one less.")
    if "dropout" in study.domains:
        said.append("dropout: Ultralytics reads it for classification only; one dimension of the search is in vain.")
    if adam and _largest(study, "warmup_bias_lr", 0.1) >= 0.1:
        said.append(
            "warmup_bias_lr is 0.1, 50 to 1000 times lr0 of an Adam optimizer, during warm-up; 0 is Ultralytics' own "
            "choice for AdamW."
        )
    if study.plateau and study.plateau.rule == "std" and study.plateau.num_results > 1:
        slope = study.plateau.std / math.sqrt((study.plateau.num_results**2 - 1) / 12)
        said.append(
            f"plateau rule std: stops every curve that gains less than {slope:.4f} an epoch; the guide's numbers "
            "stopped 37 of 37 real curves, at epoch 13 (median), with 58 % of their F1."
        )
    if (
        study.plateau
        and study.plateau.rule == "patience"
        and epochs_of(study.plateau.patience, study.epochs) >= study.epochs
    ):
        said.append("plateau.patience is as long as a trial: it can stop none.")
    size = countable(study.domains)
    if size is not None and size < study.num_samples:
        said.append(f"the space has {size} points: after as many trials, not {study.num_samples}, all are tried.")
    ceiling = study.ceiling.epochs
    expected = study.forecast(planned_trials(study.num_samples, study.domains)).expected
    if ceiling is not None and expected > ceiling:
        fits = trials_for(ceiling, lambda trials: study.forecast(trials).expected)
        said.append(
            f"{study.num_samples} trials are expected to train {expected:,.0f} epochs; the budget of {ceiling:,} ends "
            f"the search before. It would carry {fits}, which are planned where no number of trials is given."
        )
    moved = default_point(study.domains, dataset.nc, study.fixed.get("optimizer"))[1]
    if moved:
        said.append("trial 0 is Ultralytics' defaults, as near as the space allows: " + "; ".join(moved) + ".")
    if study.preset in PRESETS and dataset.images["val"] < 30:
        said.append(f"{dataset.images['val']} validation images: one object more or less moves F1 visibly.")
    return said
