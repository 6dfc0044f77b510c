"""What a study delivers, scored on the test split of its dataset where it has one.

It takes part in no choice: neither the trials nor their best epochs are chosen by it, and each model is scored once.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from yolotune.data.index import build_index
from yolotune.errors import UserError
from yolotune.prepared import PreparedProcess
from yolotune.record.split_scores import ModelScores, SplitScores, read_split_scores, write_split_scores
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.training.job import Job
from yolotune.tuner.plan import Plan

SPLIT = "test"
#: What scores, in a process of its own.
SCORER = "yolotune.training.scoring"


def best_and_defaults(record: StudyRecord) -> list[TrialRecord]:
    """Returns what a search delivers, and Ultralytics' defaults to compare it with."""
    best = record.best
    if best is None or record.learned_nothing:
        return []
    return [best, *(trial for trial in record.trials if trial.number == 0 and trial is not best)]


class OnTest:
    """The test split of a study's dataset; models are scored on it once the study is over.

    Args:
        plan: Of the study.
        folder: Of the study.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._process: PreparedProcess | None = None

    @property
    def usable(self) -> bool:
        """Whether there are labelled objects to be found."""
        return bool(self._plan.dataset.instances.get(SPLIT))

    def prepare(self) -> None:
        """Starts the process that scores, so that it is ready when the last trial has ended."""
        if self.usable:
            with suppress(OSError):  # it is started again when it is needed, which then tells
                self._process = PreparedProcess(SCORER)

    def score(self, trials: Sequence[TrialRecord]) -> str:
        """Scores the models of trials that are not scored yet, and writes that down.

        Args:
            trials: What the study delivers.

        Returns:
            Why they could not be scored; nothing where they were, and where there is no such split.
        """
        if not self.usable:
            return ""
        data = self._plan.dataset
        known = read_split_scores(self._folder)
        if known is None or known.fingerprint != data.fingerprint:
            known = SplitScores(data.fingerprint, data.images[SPLIT], data.instances[SPLIT])
        left = [trial for trial in trials if known.of(trial) is None and trial.weights.is_file()]
        if not left:
            return ""
        try:
            found, failed = self._scored(left)
        except (OSError, UserError) as error:
            return str(error)
        if not failed:
            models = {
                trial.number: ModelScores(trial.best_epoch, trial.value, scores)
                for trial, scores in zip(left, found, strict=True)
            }
            write_split_scores(self._folder, known.extended(models))
        return failed

    def close(self) -> None:
        """Ends the process, if it waits for nothing any more."""
        if self._process is not None:
            self._process.close()

    def _scored(self, trials: Sequence[TrialRecord]) -> tuple[list[dict[str, float]], str]:
        """Returns the scores of trials by the record's names, or why there are none."""
        process = self._process or PreparedProcess(SCORER)
        with tempfile.TemporaryDirectory(prefix="yolotune-test-") as folder:
            request = Path(folder) / "request.json"
            request.write_text(json.dumps(self._request(trials, Path(folder))), encoding="utf-8")
            self._process = process
            failed = process.ask(request)
            self._process = None  # it answers once
            return ([], failed) if failed else (json.loads((request.parent / "answer.json").read_text()), "")

    def _request(self, trials: Sequence[TrialRecord], folder: Path) -> dict[str, Any]:
        plan, resources = self._plan, self._plan.resources
        models: list[Mapping[str, Any]] = [
            {
                "weights": str(trial.weights.resolve()),
                "arguments": {**plan.settings.fixed, **trial.point, **trial.effective},
            }
            for trial in trials
        ]
        return {
            "task": Job.task,
            "split": SPLIT,
            "data": str((self._folder / "data" / "data.yaml").resolve()),
            "index": str(build_index(plan.dataset, SPLIT, folder)),
            "device": "0" if resources.gpu_share else "cpu",
            "threads": resources.cpus,
            "models": models,
        }
