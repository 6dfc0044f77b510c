"""What is wrong with settings, taken by themselves and together: nothing of data, weights or machine is looked at."""

from __future__ import annotations

import math

from yolotune.config import arguments
from yolotune.config.scheduling import AshaSettings, HalvingSettings
from yolotune.config.settings import Settings
from yolotune.config.space import MAX_GRID, Choice, Uniform, Value, grid_size
from yolotune.errors import Problem, UserError, did_you_mean
from yolotune.search.samplers import checked_sampler, sampler_names

MOSAIC_FAMILY = ("mosaic", "copy_paste", "mixup", "cutmix")


def check_settings(settings: Settings, sampler: object = None) -> list[Problem]:
    """Returns what is wrong with space, fixed arguments and stopping rules, taken by themselves and together.

    Args:
        settings: Of the study, resolved.
        sampler: The object that takes the place of `search`; None for none.
    """
    unread = settings.parsed[2]
    problems = [*unread, *arguments.check_space(settings.domains, "space"), *check_fixed(settings)]
    for name in sorted(set(settings.train) & set(settings.space)):
        fix = f"remove {name} from the space (`yolotune init` writes one to edit), or from the fixed arguments."
        problems.append(Problem(name, "is searched and fixed at the same time.", fix))
    if not settings.domains:
        problems.append(Problem("space", "nothing varies, so there is nothing to search.", "add a range or a choice."))
    return problems + _combinations(settings) + _search(settings) + _sampler(settings, sampler) + _stopping(settings)


def check_fixed(settings: Settings) -> list[Problem]:
    """Returns what is wrong with the arguments that do not vary."""
    known = arguments.ultralytics_defaults()
    fixed = {name: value for name, value in settings.fixed.items() if name in known}
    return [
        *arguments.check_names(settings.train, "train", searched=False),
        *arguments.check_names(settings.parsed[1], "space", searched=False),
        *arguments.check_values(fixed, "train"),
    ]


def _combinations(settings: Settings) -> list[Problem]:
    """Returns combinations of arguments that make a search pointless."""
    problems = []
    names = values_of(settings, "optimizer", "auto")
    optimizers = {name.lower() for name in names if isinstance(name, str)}  # others are `check_values`' business
    inert = [name for name in ("lr0", "momentum") if name in settings.domains]
    if "auto" in optimizers and inert:
        what = f"optimizer 'auto' ignores {' and '.join(inert)}, which this study searches."
        problems.append(Problem("optimizer", what, "set optimizer: AdamW or SGD, or search choice([AdamW, SGD])."))
    unknown = optimizers - arguments.ADAM_FAMILY - {"sgd", "musgd", "rmsprop", "auto"}
    if unknown:
        known = "SGD, MuSGD, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, auto"
        problems.append(Problem("optimizer", f"Ultralytics knows no {', '.join(sorted(unknown))}.", f"use {known}."))
    searched = [name for name in MOSAIC_FAMILY if name in settings.domains]
    closes = largest_of(settings, "close_mosaic", 10)
    if searched and closes >= settings.epochs:
        what = f"close_mosaic {closes:g} switches off {', '.join(searched)} in all {settings.epochs} epochs."
        problems.append(Problem("close_mosaic", what, "set close_mosaic below the epochs; 0.1 means a tenth of them."))
    return problems


def values_of(settings: Settings, name: str, default: Value) -> tuple[Value, ...]:
    """Returns the values an argument can take in a study: the ends of its range, or the fixed one."""
    domain = settings.domains.get(name)
    return domain.ends() if domain is not None else (settings.fixed.get(name, default),)


def largest_of(settings: Settings, name: str, default: float) -> float:
    """Returns the largest number an argument can take; what is no number is `check_values`' business."""
    return max(
        (float(value) for value in values_of(settings, name, default) if isinstance(value, (int, float))),
        default=default,
    )


def _sampler(settings: Settings, sampler: object) -> list[Problem]:
    """Returns what is wrong with the sampler that is given as an object, or with the name of one."""
    if sampler is not None:
        try:
            checked_sampler(sampler)
        except UserError as error:
            return list(error.problems)
    elif settings.search not in sampler_names():
        known = sampler_names()
        what = f"no sampler is registered as {settings.search!r}.{did_you_mean(settings.search, known)}"
        return [Problem("search", what, f"use one of {', '.join(known)}.")]
    return []


def _search(settings: Settings) -> list[Problem]:
    """Returns a problem for each distribution that the chosen search cannot handle."""
    grids = [name for name, domain in settings.domains.items() if isinstance(domain, Choice) and domain.grid]
    if settings.search != "grid":
        fix = "write choice([...]), or use --search grid."
        return [
            Problem(f"space: {name}", f"grid_search cannot be sampled by --search {settings.search}.", fix)
            for name in grids
        ]
    endless = [name for name, domain in settings.domains.items() if isinstance(domain, Uniform)]
    fix = "write grid_search([...]), or use --search tpe."
    problems = [Problem(f"space: {name}", "--search grid needs a list of values.", fix) for name in endless]
    size = grid_size(settings.domains)
    if size > MAX_GRID:
        what = f"a grid of {size:,} points, {MAX_GRID:,} at most."
        problems.append(Problem("search", what, "fix some arguments, shorten the lists, or use --search tpe."))
    return problems


def _stopping(settings: Settings) -> list[Problem]:
    """Returns what is wrong with budget and early stopping; of registered schedulers, the built-in ones are known."""
    problems = []
    budget = settings.cost_limit.epochs
    if budget is not None and budget < settings.epochs:
        what = (
            f"{settings.cost_limit} are fewer than the {settings.epochs} of one training; a plain number means epochs."
        )
        problems.append(Problem("budget", what, "raise it, lower --epochs, or give a time such as 8h."))
    scheduler = settings.scheduler
    if not isinstance(scheduler, (AshaSettings, HalvingSettings)):
        return problems
    first = scheduler.grace_epochs(settings.epochs)
    if first > settings.epochs:
        what = f"the first rung at epoch {first} comes after the last of {settings.epochs} epochs."
        problems.append(Problem("scheduler.grace_period", what, "lower it, or use --scheduler none."))
    elif isinstance(scheduler, AshaSettings):
        rungs = int(math.log((settings.epochs + 1) / first) / math.log(scheduler.reduction_factor or 2.0) + 1)
        if scheduler.brackets > rungs:
            what = f"{scheduler.brackets} brackets, but only {rungs} rungs."
            problems.append(Problem("scheduler.brackets", what, f"use at most {rungs}."))
    return problems
