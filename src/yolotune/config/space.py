"""What may vary: distributions in the guide's words, and points.

A space is a mapping from an Ultralytics training argument to a distribution, written as the guide writes it:

    lr0: loguniform(1e-5, 2e-2)     # Ray's names; `tune.loguniform(...)` is understood too
    warmup_epochs: randint(0, 5)    # 0..4: the upper end is exclusive, as in Ray
    batch: choice([8, 16, 32])
    box: [5.0, 8.0]                 # short for uniform(5.0, 8.0), as in Ultralytics' own tuner
    mosaic: grid_search([0.5, 1])   # with `search: grid` only
    optimizer: AdamW                # one value: fixed, never varied
"""

from __future__ import annotations

import ast
import keyword
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from yolotune.errors import Problem, did_you_mean

Value = bool | int | float | str
Point = dict[str, Value]

#: Points of a grid at most: they are all listed before the first.
MAX_GRID = 100_000


@dataclass(frozen=True)
class Uniform:
    """A float from `low` to `high`, linear or, with `log`, evenly spread over orders of magnitude."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return is_number(value) and self.low <= value <= self.high

    def nearest(self, value: object) -> Value:
        return min(max(float(value), self.low), self.high) if is_number(value) else self.low

    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def __str__(self) -> str:
        return f"{'loguniform' if self.log else 'uniform'}({_shown(self.low)}, {_shown(self.high)})"


@dataclass(frozen=True)
class RandInt:
    """An integer from `low` to `high - 1`: the upper end is exclusive, as in `ray.tune.randint`."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        return type(value) is int and self.low <= value < self.high

    def nearest(self, value: object) -> Value:
        return min(max(round(value), self.low), self.high - 1) if is_number(value) else self.low

    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high - 1

    def __str__(self) -> str:
        return f"randint({self.low}, {self.high})"


@dataclass(frozen=True)
class Choice:
    """One of a list; with `grid`, each of the list in turn (`grid_search`)."""

    options: tuple[Value, ...]
    grid: bool = False

    def __contains__(self, value: object) -> bool:
        return any(type(option) is type(value) and option == value for option in self.options)

    def nearest(self, value: Any) -> Value:
        if value in self or not is_number(value):
            return value if value in self else self.options[0]
        numbers = [option for option in self.options if is_number(option)]
        return min(numbers, key=lambda option: abs(float(option) - float(value)), default=self.options[0])

    def ends(self) -> tuple[Value, ...]:
        return self.options

    def __str__(self) -> str:
        options = ", ".join(_shown(option) for option in self.options)
        return f"{'grid_search' if self.grid else 'choice'}([{options}])"


Domain = Uniform | RandInt | Choice
Space = dict[str, Domain]


def options(domain: Domain) -> Sequence[Value]:
    """Returns every value of a distribution, as a grid tries them; a `Uniform` has no list of them, only its ends."""
    return range(domain.low, domain.high) if isinstance(domain, RandInt) else domain.ends()


def grid_size(space: Space) -> int:
    """Returns the number of points of a grid; a range of real numbers counts by its ends."""
    return math.prod(len(options(domain)) for domain in space.values())


def countable(space: Space) -> int | None:
    """Returns the number of points of a space, None if there is no end to them."""
    return None if any(isinstance(domain, Uniform) for domain in space.values()) else grid_size(space)


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def in_words(value: Any) -> Any:
    """Returns a distribution as its notation: one of ours, or one of Ray's such as `tune.loguniform(1e-5, 1e-2)`.

    Anything else is returned as it is. Ray's objects are known by their attributes, so that Ray need not be imported.
    """
    if isinstance(value, (Uniform, RandInt, Choice)):
        return str(value)
    kind, sampler = type(value).__name__, type(getattr(value, "sampler", None)).__name__
    if not type(value).__module__.startswith("ray.tune."):
        return value
    if kind == "Categorical":
        return str(Choice(tuple(value.categories)))
    if kind == "Integer" and sampler == "_Uniform":
        return str(RandInt(value.lower, value.upper))
    if kind == "Float" and sampler in ("_Uniform", "_LogUniform"):
        return str(Uniform(float(value.lower), float(value.upper), log=sampler == "_LogUniform"))
    return value


def _shown(value: Value) -> str:
    """Returns a value as short as `parse_domain` reads it back: words need quotes only where they are not plain."""
    if isinstance(value, str):
        plain = value.isidentifier() and value.isascii() and not keyword.iskeyword(value)
        return value if plain and value.lower() not in ("true", "false") else repr(value)
    if isinstance(value, float) and float(f"{value:g}") == value:
        short = f"{value:g}"
        return short if set(short) & set(".e") else f"{short}.0"
    return repr(value)


# --- reading -----------------------------------------------------------------------------------------------------


def parse_space(raw: Mapping[str, Any], where: str) -> tuple[Space, Point, list[Problem]]:
    """Splits a written space into what varies and what is fixed.

    Args:
        raw: Argument name to notation, as read from YAML or given from Python (where `Domain` objects serve too).
        where: The file or setting, for messages.

    Returns:
        The distributions, the fixed values, and every notation that could not be read.
    """
    space: Space = {}
    fixed: Point = {}
    problems: list[Problem] = []
    for name, written in raw.items():
        try:
            read = parse_domain(written)
        except ValueError as error:
            problems.append(Problem(f"{where}: {name}", str(error), _NOTATION))
            continue
        if isinstance(read, (Uniform, RandInt, Choice)):
            space[name] = read
        else:
            fixed[name] = read
    return space, fixed, problems


_NOTATION = (
    "write uniform(low, high), loguniform(low, high), randint(low, high), choice([a, b]), grid_search([a, b]), "
    "[low, high] for uniform, or one value to fix it."
)


def parse_domain(written: Any) -> Domain | Value:
    """Returns the distribution or the fixed value that a notation stands for.

    Raises:
        ValueError: The notation cannot be read, or its numbers make no range.
    """
    if isinstance(written, (Uniform, RandInt, Choice)):
        return written
    if isinstance(written, list):
        if len(written) != 2 or not all(is_number(end) for end in written):
            raise ValueError(f"a list means [low, high], two numbers. Got {written!r}.")
        return _make("uniform", written)
    if isinstance(written, str) and (call := re.fullmatch(r"\s*(?:tune\.)?(\w+)\s*\((.*)\)\s*", written, re.DOTALL)):
        return _make(call[1], _arguments(call[2], written))
    if isinstance(written, (bool, int, float, str)):
        return written
    raise ValueError(f"cannot read {written!r} as a distribution.")


def _arguments(text: str, written: str) -> list[Any]:
    """Reads call arguments: numbers, words with or without quotes, lists of them; nothing is evaluated."""
    try:
        tree = ast.parse(f"[{text}]", mode="eval").body
        if not isinstance(tree, ast.List):
            raise ValueError("more than a list of arguments")
        return [_literal(node) for node in tree.elts]
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:  # what Python's parser raises
        raise ValueError(f"cannot read {written!r}.") from error


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):  # choice([AdamW, SGD]) needs no quotes; true and false are YAML's
        return {"true": True, "false": False}.get(node.id.lower(), node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(child) for child in node.elts]
    return ast.literal_eval(node)


def _make(kind: str, arguments: list[Any]) -> Domain:
    if kind in ("choice", "grid_search"):
        options = arguments[0] if len(arguments) == 1 else None
        if not isinstance(options, list) or not options:
            raise ValueError(f"{kind} takes one list with at least one option. Got {arguments!r}.")
        if not all(isinstance(option, (bool, int, float, str)) for option in options):
            raise ValueError(f"{kind} takes numbers, words, true and false. Got {options!r}.")
        if any(isinstance(option, float) and not math.isfinite(option) for option in options):
            raise ValueError(f"{kind} takes finite numbers. Got {options!r}.")
        if len(set(options)) < len(options):  # 1, 1.0 and true are equal, to Optuna too
            raise ValueError(f"{kind} lists an option twice: {options!r}.")
        return Choice(tuple(options), grid=kind == "grid_search")
    if kind not in ("uniform", "loguniform", "randint"):
        names = ("uniform", "loguniform", "randint", "choice", "grid_search")
        raise ValueError(f"no distribution is called {kind!r}.{did_you_mean(kind, names)}")
    if len(arguments) != 2 or not all(is_number(end) and abs(end) <= sys.float_info.max for end in arguments):
        raise ValueError(f"{kind} takes two numbers, low and high. Got {arguments!r}.")
    low, high = arguments
    if low >= high:
        raise ValueError(f"low must be below high. Got {kind}({low}, {high}).")
    if kind == "randint":
        if not all(isinstance(end, int) for end in arguments):
            raise ValueError(f"randint takes two whole numbers. Got {arguments!r}.")
        return RandInt(low, high)
    if kind == "loguniform" and low <= 0:
        raise ValueError(f"loguniform needs low above 0. Got {low}.")
    return Uniform(float(low), float(high), log=kind == "loguniform")
