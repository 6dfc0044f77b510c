"""From a command line to settings: the options that the fields of the settings make, and what was given of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from yolotune._yaml import parse_yaml
from yolotune.config.flags import SWITCHES, Flag, dashed, flags, settings_of_flags
from yolotune.config.layers import load_settings
from yolotune.config.scheduling import PANEL as EARLY_STOPPING
from yolotune.config.settings import Settings
from yolotune.errors import Problem, UserError, fail

FLAGS = {flag.name: flag for flag in flags()}
#: What may differ between a study and trainings of its points: where they run, and who is told.
MACHINE = ("data", "tracker", "wandb", "concurrent", "address", "gpus", "cpus", "device", "max_failures")
#: What a final training may change beside.
TRAINING = (*MACHINE, "model", "epochs", "imgsz", "seed")
#: Ultralytics' own names for settings of a study; as trailing `key=value` they mean the same as the option.
ULTRALYTICS_NAMES = frozenset({"data", "model", "epochs", "imgsz", "project", "name", "exist_ok", "device", "seed"})

_FILE_AND_PAIRS = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY.yaml] [KEY=VALUE]...", help="A study file, and fixed Ultralytics arguments."),
]
_SET = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=RANGE",
        help="Another range for one argument; nothing after = drops it. Repeatable.",
        rich_help_panel="Search",
        show_default=False,
    ),
]
_PAIRS = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fixed Ultralytics arguments.")]


def takes_settings(*names: str, pairs: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of settings; it is called with the `Settings` they make, and its own options.

    A command with a `folder` of its own starts from the settings of the study in it, which the options then change; so
    its help shows no defaults.

    Args:
        names: Of options, with underscores; all of them if none is named.
        pairs: Whether it takes `key=value` pairs.
    """
    return functools.partial(_with_options, names=names or (*FLAGS, *SWITCHES), pairs=pairs)


def _with_options(command: Callable[..., None], names: Sequence[str], pairs: bool) -> Callable[..., None]:
    written = list(inspect.signature(command, eval_str=True).parameters.values())[1:]  # without the settings
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in written]

    @functools.wraps(command)
    def parsed(**given: Any) -> None:
        others = {parameter.name: given.pop(parameter.name) for parameter in own}
        settings = parse_settings(given.pop("words", None) or [], given, others.get("folder"))
        command(settings, **others)

    parameters = [parameter for parameter in own if parameter.name == "folder"]
    of_folder = bool(parameters)
    if pairs:
        parameters.append(_parameter("words", None, _PAIRS if of_folder else _FILE_AND_PAIRS))
    parameters += [_option(flag, shown=not of_folder) for name, flag in FLAGS.items() if name in names]
    if "space" in names:
        parameters.append(_parameter("set", None, _SET))
    parameters += [_switch(name, help) for name, (_, _, help) in SWITCHES.items() if name in names]
    parameters += [parameter for parameter in own if parameter.name != "folder"]
    parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}  # what typer reads
    return parsed


def _option(flag: Flag, *, shown: bool) -> inspect.Parameter:
    """Returns the parameter that typer makes an option of; not given, it is None or False, whatever the default.

    Args:
        flag: What the settings say of it.
        shown: Whether the help shows the default.
    """
    help = f"{flag.help} ({flag.default})" if shown and flag.default else flag.help
    option = typer.Option(dashed(flag.name), help=help, rich_help_panel=flag.panel, show_default=False)
    if flag.kind is bool:
        return _parameter(flag.name, False, Annotated[bool, option])
    return _parameter(flag.name, None, Annotated[flag.kind | None, option])


def _switch(name: str, help: str) -> inspect.Parameter:
    option = typer.Option(dashed(name), help=help, rich_help_panel=EARLY_STOPPING, show_default=False)
    return _parameter(name, False, Annotated[bool, option])


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parse_settings(words: Sequence[str], given: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Returns the settings that a command line describes.

    Args:
        words: A study file and `key=value` pairs, in any order.
        given: Values by option; None, False or an empty list where it was not given.
        folder: Of the study that continues, in place of a study file.

    Raises:
        UserError: Words that are neither, or anything wrong with the settings themselves.
    """
    if folder is not None and not folder.is_dir():
        raise fail(
            str(folder), "no study here: there is no such folder.", "give the folder that `yolotune run` printed."
        )
    files = [word for word in words if "=" not in word]
    if len(files) > (0 if folder else 1):
        raise fail(" ".join(files), "one study file at most, and KEY=VALUE pairs.", "remove the others.")
    said = {name: value for name, value in given.items() if value is not None and value is not False and value != []}
    over, _ = settings_of_flags(said)
    pairs = dict(_pair(word) for word in words if "=" in word)
    named = {key: pairs.pop(key) for key in ULTRALYTICS_NAMES & pairs.keys()}
    twice = [key for key in sorted(named) if key in over and str(over[key]) != str(named[key])]
    if twice:
        raise UserError(
            Problem(f"{key}={named[key]}", f"given together with {dashed(key)} {over[key]}.", "leave one of them out.")
            for key in twice
        )
    over = {**named, **over}
    if pairs:
        over["train"] = pairs
    if given.get("set"):
        over["changes"] = dict(_change(word) for word in given["set"])
    settings = load_settings(folder or (Path(files[0]) if files else None), over)
    if "top" in said and not settings.warm_start:
        raise fail("--top", "no earlier study is asked for points.", "leave it out, or give --warm-start.")
    return settings


def _change(word: str) -> tuple[str, Any]:
    """Reads `lr0=loguniform(1e-4, 1e-2)`, or `dropout=` for a range to be dropped."""
    name, given, _ = word.partition("=")
    if not given or not name:
        raise fail(f"--set {word}", "expected NAME=RANGE.", "write --set lr0='loguniform(1e-4, 1e-2)', or --set lr0=.")
    return _pair(word)


def _pair(word: str) -> tuple[str, Any]:
    """Reads `imgsz=320` or `cos_lr=true` as YAML would."""
    key, _, text = word.partition("=")
    return key, parse_yaml(text, word) if text else ""
