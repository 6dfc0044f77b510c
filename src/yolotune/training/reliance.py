"""What is relied on of another package's code, in words that can be checked against the installed version."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Signature:
    """A function that is called or overridden.

    Attributes:
        where: `module:function` or `module:Class.method`.
        parameters: Those it is called with, in this order, separated by spaces; further ones have defaults.
    """

    where: str
    parameters: str = ""

    def problem(self) -> str | None:
        """Returns what is not as expected; None if nothing is."""
        found = inspect.signature(_find(self.where)).parameters
        names = [name for name in found if name != "self"]
        wanted = self.parameters.split()
        required = {name for name in names if _is_required(found[name])}
        if [name for name in names if name in wanted] != wanted or required - set(wanted):
            return f"{self.where} takes ({' '.join(names)}), expected ({self.parameters})"
        return None


@dataclass(frozen=True)
class Source:
    """Text in the source of a function or class.

    Attributes:
        where: `module:function`, `module:Class` or `module:Class.method`.
        why: What is counted on.
        words: What stands there, one after another.
    """

    where: str
    why: str
    words: tuple[str, ...]

    def problem(self) -> str | None:
        """Returns what is not as expected; None if nothing is."""
        text, place = inspect.getsource(_find(self.where)), 0
        for word in self.words:
            found = text.find(word, place)
            if found < 0:
                return f"{self.where} has no {word!r} where it is expected: {self.why}"
            place = found + len(word)
        return None


@dataclass(frozen=True)
class Attributes:
    """Attributes that a class sets on itself, or that a module or class has.

    Attributes:
        where: `module` or `module:Class`.
        names: The attributes, separated by spaces.
    """

    where: str
    names: str

    def problem(self) -> str | None:
        """Returns what is not as expected; None if nothing is."""
        owner = _find(self.where)
        classes = inspect.getmro(owner)[:-1] if inspect.isclass(owner) else ()
        text = "".join(inspect.getsource(one) for one in classes if one.__module__.startswith("ultralytics"))
        lost = [
            name
            for name in self.names.split()
            if not hasattr(owner, name) and not re.search(rf"self\.{name}\b[^=\n]*(?<![=!<>])=(?!=)", text)
        ]
        return f"{self.where} has no {', '.join(lost)}" if lost else None


Relied = Signature | Source | Attributes


def problem_of(item: Relied) -> str | None:
    """Returns what the installed Ultralytics does not have as expected; None if it has."""
    try:
        return item.problem()
    except (ImportError, AttributeError) as error:
        return f"{item.where}: {error}"


def _find(where: str) -> Any:
    module, _, names = where.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split(".") if names else ():
        found = getattr(found, name)
    return found


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
