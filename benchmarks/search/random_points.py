"""Random points of the default space, the same on every machine."""

from __future__ import annotations

import math
import random

from yolotune.config.layers import read_preset
from yolotune.config.points import default_point
from yolotune.config.space import Choice, Domain, Point, RandInt, parse_space

PRESET = "yolo11-seg"


def draw(domain: Domain, rng: random.Random) -> bool | int | float | str:
    """Returns a random value of a distribution."""
    if isinstance(domain, Choice):
        return rng.choice(domain.options)
    if isinstance(domain, RandInt):
        return rng.randrange(domain.low, domain.high)
    if domain.log:
        return math.exp(rng.uniform(math.log(domain.low), math.log(domain.high)))
    return rng.uniform(domain.low, domain.high)


def random_points(count: int, seed: int, nc: int) -> list[Point]:
    """Returns Ultralytics' defaults, then random points; point k is drawn from `random.Random(f"{seed}-{k}")`.

    Args:
        count: How many.
        seed: Of the random ones.
        nc: Classes of the dataset, on which the defaults depend.
    """
    space, _, problems = parse_space(read_preset(PRESET)["space"], PRESET)
    if problems:
        raise SystemExit(str(problems[0]))
    found = [default_point(space, nc)[0]]
    for number in range(1, count):
        rng = random.Random(f"{seed}-{number}")
        found.append({name: draw(domain, rng) for name, domain in space.items()})
    return found
