"""Which settings are options of the command line, and keywords of the Python API; what was given by their names.

All about an option comes from the field itself (`base.setting`), so nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from yolotune.config.base import Strict
from yolotune.config.scheduling import PlateauSettings, SchedulerSettings, scheduler_kinds
from yolotune.config.settings import Settings
from yolotune.errors import Problem, UserError

#: Flags that switch something off: the setting, what it becomes, and the help.
SWITCHES: dict[str, tuple[str, Any, str]] = {
    "no_asha": ("scheduler", {"name": "none"}, "No early stopping against other trials: --scheduler none."),
    "no_plateau": ("plateau", None, "No early stopping of trials that have converged, whatever a study file says."),
}


@dataclass(frozen=True)
class Flag:
    """A setting that is an option of the command line.

    Attributes:
        name: Of the option, without dashes and with underscores.
        block: The setting it is a number of, `scheduler` or `plateau`; nothing for a setting of its own.
        field: Its name in the study file.
        kind: What the command line reads: `bool`, `int`, `float`, `str` or `list[str]`.
        help: What it means.
        default: What holds if it is not given, in words; nothing where the help says so.
        panel: Heading of the help under which it stands.
    """

    name: str
    block: str
    field: str
    kind: Any
    help: str
    default: str
    panel: str


def flags() -> list[Flag]:
    """Returns the options that settings make: those of the study, of the schedulers there are, and of the plateau."""
    found = {flag.name: flag for flag in _flags_of(Settings, "")}
    for kind in scheduler_kinds():  # a number that several take is one option
        found |= {flag.name: flag for flag in _flags_of(kind, "scheduler") if flag.name not in found}
    found |= {flag.name: flag for flag in _flags_of(PlateauSettings, "plateau")}
    return list(found.values())


def settings_of_flags(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what was given by the names of flags or settings, by field of the settings, and what is neither.

    Args:
        given: `{"epochs": 30, "scheduler": "asha", "grace_period": 5}`; a switch such as `no_asha` is True.

    Raises:
        UserError: Flags that contradict each other, all of them.
    """
    known = {flag.name: flag for flag in flags()}
    problems = _contradictions(given, known)
    if problems:
        raise UserError(problems)
    numbers = {name: known[name] for name in given if name in known and known[name].block}
    switches = [SWITCHES[name] for name in given if name in SWITCHES and given[name]]
    settings = {name: value for name, value in given.items() if name in Settings.model_fields and name not in numbers}
    others = {name: value for name, value in given.items() if name not in settings.keys() | numbers | SWITCHES.keys()}
    if isinstance(settings.get("scheduler"), str):
        settings["scheduler"] = {"name": settings["scheduler"]}
    settings |= {name: off for name, off, _ in switches}
    for name, flag in numbers.items():
        settings[flag.block] = {**_as_map(settings.get(flag.block)), flag.field: given[name]}
    if "plateau_std" in numbers:
        settings["plateau"]["rule"] = "std"  # the flag is the guide's, and so is the rule it belongs to
    return settings, others


def _contradictions(given: Mapping[str, Any], known: Mapping[str, Flag]) -> list[Problem]:
    """Returns a problem for each flag about something that another one switches off."""
    off = {block: dashed(name) for name, (block, _, _) in SWITCHES.items() if given.get(name)}
    problems = []
    if "scheduler" in off and given.get("scheduler", "none") != "none":
        problems.append(_together("scheduler", off["scheduler"]))
    if given.get("scheduler") == "none":
        off["scheduler"] = "--scheduler none"
    for name in given.keys() & known.keys():
        if known[name].block in off:
            problems.append(_together(name, off[known[name].block]))
    return sorted(problems, key=str)


def _together(name: str, other: str) -> Problem:
    return Problem(dashed(name), f"given together with {other}.", "leave one of them out.")


def dashed(name: str) -> str:
    """Returns a flag as it is typed: `--grace-period`."""
    return f"--{name.replace('_', '-')}"


def _flags_of(model: type[Strict], block: str) -> Iterator[Flag]:
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if not isinstance(extra, dict) or not extra.get("panel"):
            continue
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        yield Flag(
            name=str(extra["flag"] or name),
            block=block,
            field=name,
            kind=_kind_of(field.annotation),
            help=field.description or "",
            default=_in_words(default),
            panel=str(extra["panel"]),
        )


def _kind_of(annotation: Any) -> Any:
    """Returns what the command line reads for a field; the settings check it further."""
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        annotation = parts[0] if len(parts) == 1 else str
    if get_origin(annotation) is list:
        return list[str]
    return annotation if annotation in (bool, int, float) else str


def _in_words(default: Any) -> str:
    if isinstance(default, SchedulerSettings):
        return default.name
    return "" if default is None or default is False or default == [] else str(default)


def _as_map(block: Any) -> dict[str, Any]:
    """Returns a block of settings that was given as a map, an object, or not at all."""
    return block.model_dump(exclude_none=True) if isinstance(block, Strict) else dict(block or {})
