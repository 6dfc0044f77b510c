"""Trials that train nothing (`standin_training.py`): the engine, the record and every rule are the real ones.

`python tests/standin.py run study.yaml` is the whole command line with them. STANDIN_JUDGED is a file that gets a line
for every new report that ASHA judges, in the order in which it does.
"""

from __future__ import annotations

import functools
import json
import os

from standin_training import StandInSession
from yolotune.schedulers import Action, Asha, Decision, Report
from yolotune.tuner.trainable import Trainable


class StandIn(Trainable):
    """`Trainable` with stand-ins for trainings."""

    session_class = StandInSession


def judge_in_a_file(path: str) -> None:
    """Makes ASHA write down each report that is new to it, and whether it stopped the trial there."""
    judge = Asha.judge
    seen: dict[tuple[int, int], int] = {}  # last epoch by scheduler and trial

    def judged(self: Asha, report: Report) -> Decision:
        decision = judge(self, report)
        if report.epoch > seen.get((id(self), report.number), 0):
            seen[id(self), report.number] = report.epoch
            line = [report.number, report.epoch, dict(report.row), decision.action is Action.STOP]
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return decision

    Asha.judge = judged  # type: ignore[method-assign]


def main() -> None:
    """The command line, with stand-ins for trials."""
    from yolotune.cli import commands
    from yolotune.tuner import runner

    if "STANDIN_JUDGED" in os.environ:
        judge_in_a_file(os.environ["STANDIN_JUDGED"])
    runner.run = functools.partial(runner.run, trainable=StandIn)  # type: ignore[assignment]
    commands.main()


if __name__ == "__main__":
    import standin  # by its own name, so that Ray's workers import it too

    standin.main()
