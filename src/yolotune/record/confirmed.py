"""What was found when the best points of a search were trained again on fresh seeds, as `confirmed.yaml` says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune._yaml import read_yaml
from yolotune.errors import fail
from yolotune.metrics import better

#: In the folder of a search.
CONFIRMED = Path("confirm") / "confirmed.yaml"


@dataclass(frozen=True)
class Confirmed:
    """The point that was best when the best ones were trained again on fresh seeds.

    Attributes:
        trial: Of the search.
        mean: Its objective, over the seeds.
        seeds: Those it was trained on.
        search_best: The best value of the search at that time. A trial found later has to beat it: a smaller value was
            there already when the confirmed point was chosen, and was no reason to choose another.
        difference: Mean paired difference to the defaults; None for the defaults, and where they have no value.
        uncertainty: Half width of its interval; None of fewer than two seeds.
        verdict: What was concluded, in words.
        test: What the trainings score on the test split, in words; nothing without one.
    """

    trial: int
    mean: float
    seeds: tuple[int, ...]
    search_best: float
    difference: float | None = None
    uncertainty: float | None = None
    verdict: str = ""
    test: str = ""

    def better(self, mode: str) -> bool:
        """Whether the whole interval lies on the good side of the defaults."""
        if self.difference is None or self.uncertainty is None:
            return False
        return (self.difference if mode == "max" else -self.difference) > self.uncertainty

    def beaten_by(self, value: float, mode: str) -> bool:
        """Whether a search value is reason enough to prefer its trial to the confirmed one."""
        return better(value, self.search_best, mode)


def read_confirmed(path: Path) -> Confirmed | None:
    """Returns what `confirmed.yaml` says; None where it is missing, and where no point was confirmed.

    Raises:
        UserError: It is damaged.
    """
    document = read_yaml(path, whole=True) if path.exists() else {}
    try:
        said = document.get("best")
        if said is None:
            return None
        points = document.get("points", ())
        point: dict[str, Any] = next((one for one in points if one["trial"] == said["trial"]), {})
        return Confirmed(
            trial=said["trial"],
            mean=said["mean"],
            seeds=tuple(said["seeds"]),
            search_best=said["search_best"],
            difference=point.get("difference"),
            uncertainty=point.get("uncertainty"),
            verdict=str(document.get("verdict", "")),
            test=str(document.get("test") or ""),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise fail(str(path), "damaged: it does not say which point is best.", "run the confirm again.") from error
