"""Points: Ultralytics' defaults, those of a user's files, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune._yaml import read_yaml
from yolotune.config.arguments import ADAM_FAMILY, ultralytics_defaults
from yolotune.config.space import Choice, Domain, Point, RandInt, Space, Uniform, is_number
from yolotune.errors import Problem, UserError, did_you_mean

if TYPE_CHECKING:
    from yolotune.config.settings import Settings


def automatic_lr0(nc: int) -> float:
    """Returns the rate that `optimizer=auto` gives AdamW for `nc` classes (ultralytics/engine/trainer.py)."""
    return round(0.002 * 5 / (4 + nc), 6)


def default_point(space: Space, nc: int, optimizer: Any = None) -> tuple[Point, list[str]]:
    """Returns Ultralytics' defaults as a point of the space, and in words which of them the space does not allow.

    The defaults are those of a plain `yolo segment train` whose `optimizer=auto` picks AdamW, as it does for trainings
    of up to 10,000 iterations: lr0 by the number of classes, momentum 0.9, no warm-up of the bias rate. A study that
    fixes an optimizer of another family gets the values of `cfg/default.yaml`, which are meant for SGD.

    Args:
        space: The study's space.
        nc: Number of classes of the dataset.
        optimizer: The one that the study fixes; None where it is searched, or not given.
    """
    automatic = {"optimizer": "AdamW", "lr0": automatic_lr0(nc), "momentum": 0.9, "warmup_bias_lr": 0.0}
    adam = optimizer is None or str(optimizer).lower() in ADAM_FAMILY
    wanted = {**ultralytics_defaults(), **(automatic if adam else {})}
    point: Point = {}
    moved = []
    for name, domain in space.items():
        value = wanted.get(name)  # a name that Ultralytics does not know is reported by `check_names`
        if isinstance(domain, Uniform) and is_number(value):
            value = float(value)
        elif isinstance(domain, RandInt) and is_number(value) and float(value).is_integer():
            value = int(value)
        point[name] = domain.nearest(value)
        if point[name] != value:
            moved.append(f"{name} {value} is outside {domain}: {point[name]} instead")
    return point, moved


def exact(domain: Domain, value: Any) -> Any:
    """Returns a written value with the type that the distribution has, whether or not it lies in it."""
    if isinstance(domain, Uniform) and is_number(value):
        return float(value)
    if isinstance(domain, RandInt) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(domain, Choice) and is_number(value):  # 16.0 is the option 16, but true is not the option 1
        return next((option for option in domain.options if is_number(option) and option == value), value)
    return value


def resolve_point(
    raw: Mapping[str, Any], space: Space, nc: int, where: str, default: Point | None = None
) -> tuple[Point, list[Problem]]:
    """Returns a user's point with exact types, and everything wrong with it.

    Args:
        raw: Argument name to value; `lr0: auto` stands for `automatic_lr0(nc)`.
        space: What the point must lie in, all of it.
        nc: Number of classes of the dataset.
        where: The file and the point's place in it, for messages.
        default: Gives what is missing; None where a point must give every searched argument.
    """
    problems = []
    point: Point = {}
    missing = [name for name in space if name not in raw]
    if default is not None:
        point = {name: default[name] for name in missing}
    elif missing:
        what = f"a point gives every searched argument; {len(missing)} of {len(space)} are missing."
        problems.append(Problem(where, what, f"add {', '.join(missing)}."))
    for name, value in raw.items():
        domain = space.get(name)
        if domain is None:
            hint = did_you_mean(name, space)
            problems.append(Problem(f"{where}: {name}", f"not searched by this study.{hint}", "remove or rename it."))
            continue
        if name == "lr0" and value == "auto":
            value = automatic_lr0(nc)
        value = exact(domain, value)
        if value in domain:
            point[name] = value
        else:
            fix = "move it inside, or widen the space."
            problems.append(Problem(f"{where}: {name}", f"got {value!r}, expected a value of {domain}.", fix))
    return {name: point[name] for name in space if name in point}, problems


def read_points(settings: Settings, nc: int) -> tuple[list[Point], list[Problem], list[str]]:
    """Reads all initial points of a study, trial 0 first.

    Trial 0 is always Ultralytics' defaults, so that a study can say whether it beat them. What another point does not
    give comes from them too, unless `points_strict` is set. A point that equals an earlier one is left out.

    Args:
        settings: Of the study.
        nc: Number of classes of its dataset.

    Returns:
        The points, what is wrong with those that are not among them, and a note on each that was completed or has
        values for arguments that the study fixes.
    """
    points = [default_point(settings.domains, nc, settings.fixed.get("optimizer"))[0]]
    problems: list[Problem] = []
    notes: list[str] = []
    default = None if settings.points_strict else points[0]
    for number, given in enumerate(settings.points, start=1):
        where = given if isinstance(given, str) else f"points[{number}]"
        try:
            written = _read_point_file(given) if isinstance(given, str) else [given]
        except UserError as error:
            problems += error.problems
            continue
        for index, raw in enumerate(written):
            if not isinstance(raw, dict):
                problems.append(
                    Problem(where, f"a point is a map of values. Got {raw!r}.", "write `lr0: 0.001` and so on.")
                )
                continue
            place = f"{where}[{index}]" if index else where
            fixed = (
                [] if settings.points_strict else sorted(raw.keys() & settings.fixed.keys() - settings.domains.keys())
            )
            given = {name: value for name, value in raw.items() if name not in fixed}
            point, wrong = resolve_point(given, settings.domains, nc, place, default)
            problems += wrong
            if not wrong and point not in points:
                points.append(point)
                notes += _completed(place, given, settings.domains, fixed)
    return points, problems, notes


def _completed(where: str, given: Mapping[str, Any], space: Space, fixed: list[str]) -> Iterator[str]:
    """Yields in words what a point was not given, and what of it the study fixes otherwise."""
    missing = [name for name in space if name not in given]
    if missing:
        given_of = f"{len(space) - len(missing)} of {len(space)} arguments"
        yield f"{where} gives {given_of}; the others are Ultralytics' defaults."
    if fixed:
        yield f"{where}: {', '.join(fixed)} left out, fixed by this study."


def _read_point_file(name: str) -> list[Any]:
    """Reads a point or a list of points from a file."""
    read = read_yaml(Path(name))
    return read if isinstance(read, list) else [read]
