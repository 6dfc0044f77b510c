"""The search strategies that are compared: what stops trials, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolotune.config.layers import make_settings, read_preset
from yolotune.config.settings import Settings
from yolotune.schedulers import resolve

#: Trials of a study that does not say how many.
TRIALS = 50


@dataclass(frozen=True)
class Strategy:
    """A strategy by name: settings of a study that stop trials early.

    Attributes:
        name: As the tables call it.
        scheduler: Settings of the scheduler; None for none.
        plateau: Settings of the plateau rule; None for none.
        one_batch: Whether all trials of a study are one batch of synchronous halving.
        share: Of the trials that a study would have; the others are not tried at all.
    """

    name: str
    scheduler: Mapping[str, Any] | None = None
    plateau: Mapping[str, Any] | None = None
    one_batch: bool = False
    share: float = 1.0

    def settings(self, **given: Any) -> Settings:
        """Returns the settings of a study: the default preset with this strategy's rules."""
        trials = max(1, round(given.pop("num_samples", TRIALS) * self.share))
        scheduler = dict(self.scheduler) if self.scheduler else "none"
        if self.one_batch and isinstance(scheduler, dict):
            scheduler["batch"] = trials
        given |= {"scheduler": scheduler, "plateau": self.plateau, "num_samples": trials}
        return resolve(make_settings(data="none", **given))


def asha(grace: float, factor: float, rank: str = "best") -> dict[str, Any]:
    """Returns the settings of ASHA with one bracket."""
    return {"name": "asha", "grace_period": grace, "reduction_factor": factor, "brackets": 1, "rank": rank}


def halving(grace: float, factor: float, rank: str = "best", batch: int = 9) -> dict[str, Any]:
    """Returns the settings of synchronous halving."""
    return {"name": "halving", "grace_period": grace, "reduction_factor": factor, "rank": rank, "batch": batch}


_GUIDE, _OURS = read_preset("guide"), read_preset("yolo11-seg")
#: One epoch of the recorded 30.
FIRST = 1

RUN_ALL = Strategy("run all")
STRATEGIES = (
    RUN_ALL,
    Strategy("fewer trials: 2 of 5, in full", share=2 / 5),
    Strategy("fewer trials: 1 of 4, in full", share=1 / 4),
    Strategy("guide, to the letter: ASHA 25/2 current, std plateau", _GUIDE["scheduler"], _GUIDE["plateau"]),
    Strategy("guide, ASHA scaled: 0.1/2 current, std plateau", asha(0.1, 2, "current"), _GUIDE["plateau"]),
    Strategy(
        "guide, all scaled: the plateau's grace too",
        asha(0.1, 2, "current"),
        {**_GUIDE["plateau"], "grace_period": 10 / 250},
    ),
    Strategy("guide's ASHA alone: 0.1/2 current", asha(0.1, 2, "current")),
    Strategy("ours: preset yolo11-seg, signals, ASHA 0.15/2", _OURS["scheduler"], _OURS["plateau"]),
    Strategy("ASHA 0.1/2", asha(0.1, 2)),
    Strategy("ASHA 0.1/3", asha(0.1, 3)),
    Strategy("ASHA 0.1/4", asha(0.1, 4)),
    Strategy("ASHA 0.15/2", asha(0.15, 2)),
    Strategy("ASHA 0.2/3", asha(0.2, 3)),
    Strategy("ASHA 1 epoch/3", asha(FIRST, 3)),
    Strategy("Ultralytics: ASHA 10 epochs/3 current", asha(10, 3, "current")),
    Strategy("halving, batches of 9, 0.1/3", halving(0.1, 3)),
    Strategy("halving, one batch, 0.1/3", halving(0.1, 3), one_batch=True),
    Strategy("signals: ASHA 0.1/2", asha(0.1, 2, "signals")),
    Strategy("signals: ASHA 0.1/2, plateau rule patience", asha(0.1, 2, "signals"), {"rule": "patience"}),
    Strategy("signals: ASHA 0.1/3", asha(0.1, 3, "signals")),
    Strategy("signals: ASHA 0.1/4", asha(0.1, 4, "signals")),
    Strategy("signals: ASHA 0.2/3", asha(0.2, 3, "signals")),
    Strategy("signals: ASHA 1 epoch/3", asha(FIRST, 3, "signals")),
    Strategy("signals: halving, batches of 9, 0.1/3", halving(0.1, 3, "signals")),
    Strategy("signals: halving, one batch, 0.1/3", halving(0.1, 3, "signals"), one_batch=True),
)
