"""What to type next, given what a study has found."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yolotune.report.outcome import AFTER_NOTHING
from yolotune.report.results import Gain, Results


@dataclass(frozen=True)
class Step:
    """Something to do next: what it is for, and what to type."""

    why: str
    command: str


def next_steps(results: Results) -> list[Step]:
    """Returns what to type next, most useful first."""
    record, best = results.record, results.best
    folder = shlex.quote(str(record.folder))
    steps = []
    if results.running or results.interrupted:
        steps.append(Step("Continue trials that have not ended", f"yolotune resume {folder}"))
    if record.learned_nothing:
        given = {"data": shlex.quote(_data_yaml(results)), "epochs": 4 * record.settings.epochs}
        return [*steps, *(Step(why, command.format(**given)) for why, command in AFTER_NOTHING)]
    if best is None:
        return steps
    if results.kind in (Gain.NOISE, Gain.NONE, Gain.UNKNOWN) and not steps:
        more = f"yolotune resume {folder} --num-samples {2 * len(record.trials)}"
        steps.append(Step("Search on: more trials, nothing is repeated", more))
    if best.number and record.confirmed is None:
        confirm = f"yolotune confirm {folder} --top 3 --seeds 3"
        steps.append(Step("Confirm: the best points and the defaults, in full, on fresh seeds", confirm))
    steps.append(Step("Train the final model", f"yolotune retrain {folder}"))
    cfg, data = shlex.quote(str(record.folder / "best.yaml")), shlex.quote(_data_yaml(results))
    steps.append(Step("or with Ultralytics alone", f"yolo segment train cfg={cfg} data={data}"))
    return steps


def _data_yaml(results: Results) -> str:
    """Returns the absolute path of the data.yaml that was found, or what the settings say."""
    return str((results.environment.get("dataset") or {}).get("yaml") or results.settings.data)
