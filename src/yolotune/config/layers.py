"""How settings are laid over each other: preset, then study file, then flags.

Later wins. `train`, `scheduler` and `plateau` are merged key by key; `space` and `points` are taken whole, so that what
is written is what is searched. An argument that is fixed in `train` is no longer searched if the space stands below;
`changes` replaces or drops single ranges. `effort` and a `budget` in epochs choose what is not given in the same place:
what was given below them makes way.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from yolotune._yaml import parse_yaml, read_yaml
from yolotune.config.budget import Budget
from yolotune.config.compat import RECORD_KEYS, upgraded
from yolotune.config.scheduling import SchedulerSettings, scheduler_fields
from yolotune.config.settings import Settings, recorded_settings
from yolotune.errors import Problem, UserError, did_you_mean, fail

PRESETS = ("yolo11-seg", "guide")
#: Numbers of a scheduler that an effort chooses.
BY_EFFORT = ("grace_period", "reduction_factor")


def make_settings(**given: Any) -> Settings:
    """Returns the settings that a preset and what is given over it make.

    Args:
        given: By field of `Settings`; `preset` names the preset, `none` for none.

    Raises:
        UserError: Everything that is wrong with them.
    """
    return Settings(**merge(_preset_of(given), given))


def _preset_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the preset that settings name; under a wrong name the first: it is one mistake, not many."""
    name = given.get("preset", PRESETS[0])
    return {} if name == "none" else read_preset(name if name in PRESETS else PRESETS[0])


def load_settings(path: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Reads a study file and lays flags over it.

    Args:
        path: The study file, the folder of a study, or None where flags give everything.
        flags: Values by field of `Settings`; `space` may be the path of a file. `changes` maps arguments to ranges that
            take the place of those of the space, or to nothing.

    Raises:
        UserError: Everything that is wrong with file and flags.
    """
    over = _with_space(flags)
    changes = over.pop("changes", {})
    if path is not None and path.is_dir():
        written = _changed(merge(_recorded(path), over), changes)
        return recorded_settings(written) if "scheduler" not in over else Settings(**written)
    read = {} if path is None else read_yaml(path)
    if not isinstance(read, dict) or not all(isinstance(key, str) for key in read):
        raise fail(str(path), f"a study file is a map of settings. Got {read!r:.80}.", "see `yolotune init`.")
    given = merge(_with_space(read), over)
    return Settings(**_changed(merge(_preset_of(given), given), changes))


def _recorded(folder: Path) -> dict[str, Any]:
    """Returns the settings that the study.yaml of a study's folder holds."""
    file = folder / "study.yaml"
    if not file.exists():
        raise fail(str(folder), "no study here: study.yaml is missing.", "give the folder that was printed.")
    read = upgraded(read_yaml(file, whole=True), str(file))
    return {key: value for key, value in read.items() if key not in RECORD_KEYS}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `below` overridden by `above`, as the top of this page says."""
    above = {**above, **{key: None for key in ("scheduler", "plateau") if above.get(key) is False}}
    below = _without_chosen(below, above)
    merged = {**below, **above}
    for key in ("train", "plateau"):
        if isinstance(below.get(key), Mapping) and isinstance(above.get(key), Mapping):
            merged[key] = {**below[key], **above[key]}
    if "scheduler" in above:
        merged["scheduler"] = _merged_scheduler(_as_map(below.get("scheduler", "asha")), _as_map(above["scheduler"]))
    fixed, searched = above.get("train"), below.get("space")
    if isinstance(fixed, Mapping) and isinstance(searched, Mapping) and "space" not in above:
        merged["space"] = {name: domain for name, domain in searched.items() if name not in fixed}
    if isinstance(above.get("space"), Mapping):
        if "points" not in above:
            merged["points"] = []  # points of the space that was replaced
        if isinstance(merged.get("train"), Mapping):  # what was fixed below gives way to what is searched now
            replaced = above["space"].keys() - above.get("train", {}).keys()
            merged["train"] = {name: value for name, value in merged["train"].items() if name not in replaced}
    return merged


def _changed(settings: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings with other ranges for some arguments, or none.

    Raises:
        UserError: An argument that is to be dropped is not searched.
    """
    space = dict(settings.get("space") or {})
    unknown = [name for name, domain in changes.items() if domain in (None, "") and name not in space]
    if unknown:
        raise UserError(
            Problem(f"--set {name}=", f"not searched.{did_you_mean(name, space)}", "leave it out.") for name in unknown
        )
    left = {name: value for name, value in (settings.get("train") or {}).items() if name not in changes}
    space |= {name: domain for name, domain in changes.items() if domain not in (None, "")}
    space = {name: domain for name, domain in space.items() if changes.get(name, domain) not in (None, "")}
    return {**settings, "space": space, "train": left} if changes else settings


def _as_map(scheduler: Any) -> Any:
    """Returns what was written of a scheduler as a map; what is none is left to the settings to refuse."""
    if scheduler is None:
        return {"name": "none"}
    if isinstance(scheduler, SchedulerSettings):
        return scheduler.model_dump()
    return {"name": scheduler} if isinstance(scheduler, str) else scheduler


def _merged_scheduler(below: Any, above: Any) -> Any:
    """Returns the numbers of both, the upper ones first; of another scheduler below, those that both have."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    name = above.get("name", "asha" if below.get("name") == "none" else below.get("name", "asha"))
    takes = scheduler_fields(name) if name != below.get("name") else below.keys()
    return {**{key: value for key, value in below.items() if key in takes}, **above, "name": name}


def _without_chosen(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings without those that an effort, a budget or the preset `guide` given above them chooses anew."""
    left = dict(below)
    if above.get("preset") == "guide":
        left["effort"] = None
    if above.get("effort") is not None or _in_epochs(above.get("budget")):
        left.pop("num_samples", None)
    scheduler = _as_map(left.get("scheduler", "asha"))
    if above.get("effort") is not None and isinstance(scheduler, Mapping):
        kept = {key: value for key, value in scheduler.items() if key not in BY_EFFORT}
        left["scheduler"] = _merged_scheduler(kept, {"name": "asha"})
    return left


def _in_epochs(budget: Any) -> bool:
    try:
        return budget is not None and Budget.parse(str(budget)).epochs is not None
    except ValueError:
        return False  # which the settings refuse


def read_preset(name: str) -> dict[str, Any]:
    """Returns a shipped preset as written."""
    return dict(parse_yaml(preset_text(name), f"preset {name}"))


def preset_text(name: str) -> str:
    """Returns the text of a shipped preset, comments and all."""
    return (resources.files("yolotune.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def _with_space(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings with the map of the space in place of the name of its file."""
    name = given.get("space")
    return {**given, "space": _read_space(Path(name))} if isinstance(name, str) else dict(given)


def _read_space(path: Path) -> dict[str, Any]:
    """Reads a space file: the map itself, or a file that has it under `space`."""
    read = read_yaml(path)
    found = read.get("space", read) if isinstance(read, dict) else None
    if not isinstance(found, dict):
        raise fail(str(path), "a space file is a map of Ultralytics arguments.", "see a preset for an example.")
    return found
