"""How settings are laid over each other: preset, then study file, then flags.

Later wins. `train`, `asha` and `plateau` are merged key by key; `space` and `points` are taken whole, so that what is
written is what is searched. `effort` and a `budget` in epochs choose what is not given in the same place: what was
given before them makes way.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from yolotune._yaml import parse_yaml
from yolotune.config.budget import Budget

PRESETS = ("yolo11-seg", "guide")
MERGED = ("train", "asha", "plateau")
#: Numbers of `asha` that an effort chooses.
CHOSEN = ("grace_period", "reduction_factor")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `below` overridden by `above`, as the top of this page says."""
    below = _without_chosen(below, above)
    merged = {**below, **above}
    for key in MERGED:
        if isinstance(below.get(key), Mapping) and isinstance(above.get(key), Mapping):
            merged[key] = {**below[key], **above[key]}
    _agree(merged, above)
    if isinstance(above.get("space"), Mapping):
        if "points" not in above:
            merged["points"] = []  # points of the space that was replaced
        if isinstance(merged.get("train"), Mapping):  # what was fixed below gives way to what is searched now
            replaced = above["space"].keys() - above.get("train", {}).keys()
            merged["train"] = {name: value for name, value in merged["train"].items() if name not in replaced}
    return merged


def _without_chosen(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns settings without those that an effort, a budget or the preset `guide` given above them chooses anew."""
    gone = {"effort"} if above.get("preset") == "guide" else set()
    if above.get("effort") is not None or _in_epochs(above.get("budget")):
        gone.add("num_samples")
    if above.get("effort") is not None:
        gone.add("scheduler")
    left = {key: value for key, value in below.items() if key not in gone}
    if above.get("effort") is not None and "asha" in left:
        rungs = left.pop("asha") or {}
        left["asha"] = {name: rungs[name] for name in rungs if name not in CHOSEN}
    return left


def _in_epochs(budget: Any) -> bool:
    try:
        return budget is not None and Budget.parse(str(budget)).epochs is not None
    except ValueError:
        return False  # which the study itself refuses


def _agree(merged: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Has `scheduler` and `asha` say the same after a merge: what is said last of either holds for both."""
    if "scheduler" not in above and "asha" in above:
        if above["asha"] is None:
            merged["scheduler"] = "none"
        elif merged.get("scheduler") == "none":
            del merged["scheduler"]
    elif merged.get("scheduler") == "none":
        merged["asha"] = None
    elif "scheduler" in above and "asha" not in above and merged.get("asha") is None:
        merged["asha"] = {}


def read_preset(name: str) -> dict[str, Any]:
    """Returns a shipped preset as written."""
    text = (resources.files("yolotune.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(parse_yaml(text, f"preset {name}"))
