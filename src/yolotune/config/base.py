"""What all settings share: strict models, fields that say how the command line shows them, and shares of the epochs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yolotune.errors import Problem, UserError, did_you_mean


class Strict(BaseModel):
    """Settings that are checked to the letter: no unknown key, no NaN, no change afterwards."""

    # `device: 0` and `name: 5` are numbers to YAML and strings to us
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise UserError(problems_of(error, type(self).model_fields)) from None


def setting(default: Any = ..., description: str = "", *, panel: str = "", flag: str = "", **constraints: Any) -> Any:
    """Returns a field that may also be an option of the command line, with the same help and default.

    Args:
        default: `...` for a setting that must be given, or that has a `default_factory`.
        description: One sentence, the option's help too.
        panel: Heading of the help under which the option stands; none for a field that is no option.
        flag: The option's name without dashes, with underscores; the field's name unless given.
        constraints: Further arguments of `pydantic.Field`, such as `ge=1` or `default_factory=list`.
    """
    extra: dict[str, Any] = {"panel": panel, "flag": flag}
    if "default_factory" not in constraints:
        constraints["default"] = default
    return Field(description=description, json_schema_extra=extra, **constraints)


def epochs_of(amount: float, epochs: int) -> int:
    """Returns a number of epochs, at least 1, from a count (1 or more) or a share of `epochs` (below 1)."""
    return max(1, round(amount * epochs)) if amount < 1 else round(amount)


def problems_of(error: ValidationError, known: Iterable[str], where: str = "") -> list[Problem]:
    """Returns pydantic's errors as ours, with the nearest known name for a misspelt key.

    Args:
        error: Of a `Strict` model.
        known: Names of its fields.
        where: Name of the setting the model is the value of; its fields are then shown as `where.field`.
    """
    problems: list[Problem] = []
    for item in error.errors():
        cause = item.get("ctx", {}).get("error")
        place = ".".join([where, *map(str, item["loc"])] if where else map(str, item["loc"])) or "settings"
        if isinstance(cause, UserError):  # of a validator, which says where; or of a model that is a field of this one
            problems += [
                one if one.where.startswith(place) else replace(one, where=f"{place}.{one.where}")
                for one in cause.problems
            ]
            continue
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(str(item["loc"][-1]), known)
            problems.append(Problem(place, f"no such setting.{hint}", _FIX_UNKNOWN.get(place, "correct or remove it.")))
        elif item["type"] == "missing":
            problems.append(Problem(place, "is missing.", _FIX_MISSING.get(place, "add it.")))
        else:
            said = item["msg"].removeprefix("Value error, ")
            must = f", must be{said.removeprefix(_PYDANTICS)}" if said.startswith(_PYDANTICS) else f". {said}"
            problems.append(Problem(place, f"got {item['input']!r}{must}.", "correct the value."))
    return problems


#: How pydantic begins most of its sentences.
_PYDANTICS = "Input should be"
_FIX_MISSING = {"data": "give --data path/to/data.yaml.", "space": "give --space FILE, or take a preset."}
#: Of settings that earlier versions had.
_FIX_UNKNOWN = {
    "asha": "write it as `scheduler: {name: asha, grace_period: ...}`.",
    "history": "remove it; `warm_start: [FOLDER]` takes points of earlier studies.",
    "time_budget": "write it as `budget: 8h`.",
}
