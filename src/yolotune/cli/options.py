"""The flags of a study, one table for every command that takes one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from yolotune.errors import fail

if TYPE_CHECKING:
    from yolotune.config.settings import Settings


class Flag(NamedTuple):
    """A flag: its name with underscores, its type, its help, and the field of `Study` it fills (dots for nesting)."""

    name: str
    kind: Any
    help: str
    field: str = ""


PANELS: dict[str, tuple[Flag, ...]] = {
    "Study": (
        Flag("data", str, "data.yaml of the dataset."),
        Flag("model", str, "Weights (.pt) or architecture (.yaml). (yolo11n-seg.pt)"),
        Flag("project", str, "Folder below runs/tune, and the W&B project."),
        Flag("name", str, "Name of the study and its folder. (study)"),
        Flag("wandb", str, "W&B: auto, online, offline or disabled. (auto)"),
        Flag("exist_ok", bool, "Use the folder even if it exists."),
        Flag("storage", str, "Folder in place of runs/tune; a cluster must share it."),
        Flag("keep_weights", str, "Whose best.pt is kept: all, best or top-5. (all)"),
        Flag("allow_bad_labels", bool, "Leave images with bad labels out, and count them."),
        Flag("concurrent", int, "Trials at the same time. (1)"),
        Flag("effort", str, "quick, balanced or thorough: number of trials, grace period, factor. (balanced)"),
        Flag("budget", str, "What it may cost: 2000 (epochs), 8h, 90m or 30s; then it ends in good order."),
        Flag("num_samples", int, "Number of trials, initial points included. (by effort, or by a budget in epochs)"),
        Flag("epochs", int, "Epochs of a trial that nothing stops. (250)"),
        Flag("imgsz", int, "Image size in pixels. (640)"),
        Flag("seed", int, "Seed of the search and of every training. (0)"),
    ),
    "Resources": (
        Flag("address", str, "Ray cluster to join: auto or host:port. (RAY_ADDRESS, else none)"),
        Flag("gpus", float, "GPUs of the study; a trial gets gpus/concurrent. (all)"),
        Flag("cpus", int, "CPU cores of the study; a trial gets cpus/concurrent. (all)"),
        Flag("max_failures", int, "Restarts of a trial whose process or node died. (2)"),
        Flag("device", str, "cpu, or the GPUs the study may use: 0 or 0,1."),
    ),
    "Search": (
        Flag("preset", str, "yolo11-seg, guide or none. (yolo11-seg)"),
        Flag("space", str, "YAML file of the search space."),
        Flag("points", list[str], "YAML file of initial points; repeatable."),
        Flag("warm_start", list[str], "Folder of an earlier study: its best points are tried early; repeatable."),
        Flag("top", int, "How many points of each, at most. (3)"),
        Flag("objective", str, "Metric that is searched. (metrics/F1(M))"),
        Flag("mode", str, "max or min. (known from the objective)"),
        Flag("search", str, "auto, tpe, tpe-multivariate, gp, random or grid. (auto)"),
    ),
    "Early stopping": (
        Flag("scheduler", str, "asha, halving (in batches, trials pause and resume) or none. (by effort)"),
        Flag("grace_period", float, "Epochs before the first rung; below 1 a share. (by effort)", "asha.grace_period"),
        Flag("reduction_factor", float, "The best 1/factor of a rung go on. (by effort)", "asha.reduction_factor"),
        Flag("brackets", int, "Brackets of ASHA. (1)", "asha.brackets"),
        Flag("rank", str, "What rungs compare: signals (best F1, losses), best or current. (signals)", "asha.rank"),
        Flag("halving_batch", int, "halving: trials that are compared with each other. (9)", "asha.batch"),
        Flag("no_asha", bool, "No early stopping against other trials.", "asha"),
        Flag("plateau_metric", str, "End trials that have converged in this. (no rule)", "plateau.metric"),
        Flag("plateau_std", float, "The guide's rule: stop below this standard deviation.", "plateau.std"),
        Flag("plateau_num_results", int, "Its window in epochs. (5)", "plateau.num_results"),
        Flag("plateau_grace_period", float, "Epochs before it may stop a trial. (0.1)", "plateau.grace_period"),
        Flag("no_plateau", bool, "No early stopping of converged trials. (the default)", "plateau"),
    ),
}
#: What may differ between a study and trainings of its points: where they run, and who is told.
MACHINE = (
    "data", "wandb", "concurrent", "address", "gpus", "cpus", "device", "max_failures", "keep_weights",
)  # fmt: skip
#: What a final training may change beside.
TRAINING = (*MACHINE, "model", "epochs", "imgsz", "seed")
FLAGS = {flag.name: flag for flags in PANELS.values() for flag in flags}

WORDS = Annotated[
    list[str] | None,
    typer.Argument(metavar="[STUDY.yaml] [KEY=VALUE]...", help="A study file, and fixed Ultralytics arguments."),
]


def takes_study(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the flags of a study; it is called with the `Study` they make, and with options of its own.

    A command with a `folder` of its own starts from the settings of the study in it, which the flags then change.
    """
    return _with_flags(command, set(FLAGS), words=True)


def takes_settings(*names: str, words: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that works on the study of a folder some of the flags: those that mean something to it.

    Args:
        names: Of flags, with underscores.
        words: Whether it takes `key=value` pairs.
    """
    return functools.partial(_with_flags, names=set(names), words=words)


def _with_flags(command: Callable[..., None], names: set[str], words: bool) -> Callable[..., None]:
    written = list(inspect.signature(command).parameters.values())[1:]  # without the study
    own = [parameter.replace(annotation=eval(parameter.annotation, command.__globals__)) for parameter in written]

    @functools.wraps(command)
    def parsed(**given: Any) -> None:
        others = {parameter.name: given.pop(parameter.name) for parameter in own}
        command(make_study(given.pop("words", None) or [], given, others.get("folder")), **others)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [parameter.replace(kind=keyword) for parameter in own if parameter.name == "folder"]
    if words:
        parameters.append(inspect.Parameter("words", keyword, default=None, annotation=PAIRS if parameters else WORDS))
    for panel, flags in PANELS.items():
        for flag in (flag for flag in flags if flag.name in names):
            option = typer.Option(
                f"--{flag.name.replace('_', '-')}", help=flag.help, rich_help_panel=panel, show_default=False
            )
            unset, kind = (False, bool) if flag.kind is bool else (None, flag.kind | None)
            parameters.append(inspect.Parameter(flag.name, keyword, default=unset, annotation=Annotated[kind, option]))
    parameters += [parameter.replace(kind=keyword) for parameter in own if parameter.name != "folder"]
    parsed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    parsed.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}  # what typer reads
    return parsed


PAIRS = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fixed Ultralytics arguments.")]


def make_study(words: list[str], given: dict[str, Any], folder: Path | None = None) -> Settings:
    """Returns the study that a command line describes.

    Args:
        words: A study file and `key=value` pairs, in any order.
        given: Values by flag; None or False where a flag was not given.
        folder: Of the study that is to go on, in place of a study file.

    Raises:
        UserError: Words that are neither, or anything wrong with the study itself.
    """
    from yolotune.config.settings import FLAG_FIELDS, load_settings

    files = [word for word in words if "=" not in word]
    if len(files) > (0 if folder else 1):
        raise fail(" ".join(files), "one study file at most, and KEY=VALUE pairs.", "remove the others.")
    flags: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value is False or value == []:
            continue
        head, _, inner = (FLAGS[name].field or name).partition(".")
        if name.startswith("no_"):
            flags[head] = None
        elif inner:
            off = f"--no-{head}" if given.get(f"no_{head}") else ""
            off = "--scheduler none" if head == "asha" and given.get("scheduler") == "none" else off
            if off:
                raise fail(f"--{name.replace('_', '-')}", f"given together with {off}.", "leave one of them out.")
            flags.setdefault(head, {})[inner] = value
        else:
            flags[head] = value
    if given.get("plateau_std") is not None:
        flags["plateau"]["rule"] = "std"  # the flag is the guide's, and so is the rule it belongs to
    pairs = dict(_pair(word) for word in words if "=" in word)
    for key in FLAG_FIELDS & pairs.keys():
        flags.setdefault(key, pairs.pop(key))
    if pairs:
        flags["train"] = pairs
    study = load_settings(folder or (Path(files[0]) if files else None), flags)
    if given.get("top") is not None and not study.warm_start:
        raise fail("--top", "no earlier study is asked for points.", "leave it out, or give --warm-start.")
    return study


def _pair(word: str) -> tuple[str, Any]:
    """Reads `imgsz=320` or `cache=disk` as YAML would."""
    from yolotune._yaml import parse_yaml

    key, _, text = word.partition("=")
    return key, parse_yaml(text, word) if text else ""
