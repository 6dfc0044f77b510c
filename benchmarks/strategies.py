"""The search strategies that the replay bench compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curves import Source
from policies import Halving, OneByOne, Policy, Searches
from yolotune.config.settings import Settings, read_preset
from yolotune.schedulers.plateau import Endings


@dataclass(frozen=True)
class Strategy:
    """A strategy by name: settings of a study, and what is done with them.

    Attributes:
        name: As the table calls it.
        asha: Settings of `study.asha`; None for none.
        plateau: Settings of `study.plateau`; None for none.
        batch: Trials that meet at rungs in synchronous halving; 0 for all of a study, None for asynchronous.
        share: Of the trials that a study would have; the others are not tried at all.
    """

    name: str
    asha: Mapping[str, Any] | None = None
    plateau: Mapping[str, Any] | None = None
    batch: int | None = None
    share: float = 1.0

    def study(self, **given: Any) -> Settings:
        """Returns the study: the default preset with this strategy's rules."""
        given |= {"num_samples": max(1, round(given.get("num_samples", 50) * self.share))}
        study = Settings(data="none", asha=self.asha, plateau=self.plateau, **given)
        if self.batch is None:
            return study
        asha = {**(self.asha or {}), "batch": self.batch or study.num_samples}
        return Settings(data="none", scheduler="halving", asha=asha, plateau=self.plateau, **given)

    def policy(self, study: Settings, searcher: Searches, endings: Endings, source: Source) -> Policy:
        if self.batch is None:
            return OneByOne(study, searcher, endings, source)
        return Halving(study, searcher, endings, source)


def _asha(grace: float, factor: float, rank: str = "best") -> dict[str, Any]:
    return {"grace_period": grace, "reduction_factor": factor, "brackets": 1, "rank": rank}


_GUIDE, _OURS = read_preset("guide"), read_preset("yolo11-seg")
#: One epoch of the recorded 30.
FIRST = 1

RUN_ALL = Strategy("run all")
STRATEGIES = (
    RUN_ALL,
    Strategy("fewer trials: 2 of 5, in full", share=2 / 5),
    Strategy("fewer trials: 1 of 4, in full", share=1 / 4),
    Strategy("guide, to the letter: ASHA 25/2 current, std plateau", _GUIDE["asha"], _GUIDE["plateau"]),
    Strategy("guide, ASHA scaled: 0.1/2 current, std plateau", _asha(0.1, 2, "current"), _GUIDE["plateau"]),
    Strategy(
        "guide, all scaled: the plateau's grace too",
        _asha(0.1, 2, "current"),
        {**_GUIDE["plateau"], "grace_period": 10 / 250},
    ),
    Strategy("guide's ASHA alone: 0.1/2 current", _asha(0.1, 2, "current")),
    Strategy("ours: preset yolo11-seg, signals, ASHA 0.15/2", _OURS["asha"], _OURS["plateau"]),
    Strategy("ASHA 0.1/2", _asha(0.1, 2)),
    Strategy("ASHA 0.1/3", _asha(0.1, 3)),
    Strategy("ASHA 0.1/4", _asha(0.1, 4)),
    Strategy("ASHA 0.15/2", _asha(0.15, 2)),
    Strategy("ASHA 0.2/3", _asha(0.2, 3)),
    Strategy("ASHA 1 epoch/3", _asha(FIRST, 3)),
    Strategy("Ultralytics: ASHA 10 epochs/3 current", _asha(10, 3, "current")),
    Strategy("halving, batches of 9, 0.1/3", _asha(0.1, 3), batch=9),
    Strategy("halving, one batch, 0.1/3", _asha(0.1, 3), batch=0),
    Strategy("signals: ASHA 0.1/2", _asha(0.1, 2, "signals")),
    Strategy("signals: ASHA 0.1/2, plateau rule patience", _asha(0.1, 2, "signals"), {"rule": "patience"}),
    Strategy("signals: ASHA 0.1/3", _asha(0.1, 3, "signals")),
    Strategy("signals: ASHA 0.1/4", _asha(0.1, 4, "signals")),
    Strategy("signals: ASHA 0.2/3", _asha(0.2, 3, "signals")),
    Strategy("signals: ASHA 1 epoch/3", _asha(FIRST, 3, "signals")),
    Strategy("signals: halving, batches of 9, 0.1/3", _asha(0.1, 3, "signals"), batch=9),
    Strategy("signals: halving, one batch, 0.1/3", _asha(0.1, 3, "signals"), batch=0),
)
