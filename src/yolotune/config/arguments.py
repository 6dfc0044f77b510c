"""What Ultralytics takes: its list of training arguments, and checks of a space and of fixed values against it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from yolotune.config.space import Space, Uniform
from yolotune.errors import Problem, did_you_mean

#: Ultralytics arguments that belong to the study, not to a point, and what to use instead.
RESERVED = {
    "data": "--data",
    "model": "--model",
    "epochs": "--epochs",
    "project": "--project",
    "name": "--name",
    "exist_ok": "--exist-ok",
    "device": "--device",
    "seed": "--seed",
    "save_dir": "--project and --name",
    "resume": "`yolotune resume`",
    "time": "--epochs; a time limit inside a trial would change its learning-rate schedule while it runs",
    "task": "nothing: a study always trains segmentation",
    "mode": "nothing: a trial always trains",
    "save": "nothing: a trial always keeps last.pt and best.pt",
    "val": "nothing: a trial is judged by its validation after every epoch",
    "split": "`val:` in data.yaml: the study is judged on the validation split",
    "cfg": "the study file",
}
#: How many seeds numpy takes, and with it Ultralytics; and all of them as a distribution.
SEEDS = 2**32
ANY_SEED = f"randint(0, {SEEDS})"
ADAM_FAMILY = frozenset({"adam", "adamw", "adamax", "nadam", "radam"})
#: May be fixed, but one study compares one value of them.
NEVER_SEARCHED = {
    "imgsz": "it changes the validation as well as the training, so trials would not be comparable",
    "fraction": "it changes the dataset, so trials would not be comparable",
    "single_cls": "it changes the classes, so trials would not be comparable",
    "classes": "it changes the classes, so trials would not be comparable",
    "cache": "it changes how images are read, and no number",
}


@cache
def ultralytics_defaults() -> dict[str, Any]:
    """Returns Ultralytics' arguments and their defaults, read from its `cfg/default.yaml` without importing it."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("ultralytics is not installed")
    text = (Path(spec.submodule_search_locations[0]) / "cfg" / "default.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def check_names(names: Mapping[str, Any], where: str, *, searched: bool) -> list[Problem]:
    """Returns a problem for every name that is no Ultralytics argument, or not one of a point."""
    known = ultralytics_defaults()
    problems = []
    for name in names:
        if name in RESERVED:
            problems.append(
                Problem(f"{where}: {name}", "belongs to the study, not to a point.", f"use {RESERVED[name]}.")
            )
        elif name not in known:
            hint = did_you_mean(name, known) or " See https://docs.ultralytics.com/usage/cfg/."
            problems.append(
                Problem(f"{where}: {name}", f"not an Ultralytics training argument.{hint}", "correct the name.")
            )
        elif searched and name in NEVER_SEARCHED:
            problems.append(
                Problem(f"{where}: {name}", f"cannot be searched: {NEVER_SEARCHED[name]}.", "fix one value.")
            )
    return problems


def check_values(values: Mapping[str, Any], where: str) -> list[Problem]:
    """Returns a problem for every value that Ultralytics' own check (`cfg.check_cfg`) refuses.

    Args:
        values: Argument name to one value or a tuple of values; names are taken to be known.
        where: The file or setting, for messages.
    """
    from ultralytics.cfg import check_cfg

    problems = []
    for name, given in values.items():
        for value in given if isinstance(given, tuple) else (given,):
            try:
                check_cfg({name: value})
                if name == "batch" and not (type(value) is int and (value >= 1 or value == -1)):
                    raise ValueError("a batch is a whole number of images, at least 1.")
                if name == "cache" and str(value).lower() not in ("true", "ram", "disk", "false", "none"):
                    raise ValueError("cache is True, False, ram or disk.")
            except (TypeError, ValueError) as error:
                problems.append(
                    Problem(f"{where}: {name}", f"got {value!r}: {error}", "use a value Ultralytics takes.")
                )
                break
    return problems


def check_space(space: Space, where: str) -> list[Problem]:
    """Returns everything wrong with a space as such: names, ends, options."""
    problems = check_names(space, where, searched=True)
    defaults = ultralytics_defaults()
    broken = {name for name, domain in space.items() if type(defaults.get(name)) is int and isinstance(domain, Uniform)}
    known = {name: domain.ends() for name, domain in space.items() if name in defaults and name not in broken}
    problems += check_values(known, where)
    for name, domain in space.items():
        if name == "batch" and -1 in domain.ends():
            what = f"a searched batch is at least 1 image. Got {domain}."
            problems.append(
                Problem(f"{where}: {name}", what, "write the batch sizes; -1, automatic, can only be fixed.")
            )
        if name in broken and isinstance(domain, Uniform):
            fix = f"write randint({math.ceil(domain.low)}, {math.floor(domain.high) + 1}) or choice([...])."
            problems.append(Problem(f"{where}: {name}", f"takes whole numbers. Got {domain}.", fix))
    return problems
