"""A trial as Ray Tune runs it: a step is an epoch of its training (`training/session.py`).

Ray stops a function trainable by raising `SystemExit` inside its callback and kills the process a moment later. This
one is told to stop and leaves Ultralytics' loop by itself: final evaluation, curves and uploads happen, and only then
does `cleanup` return.

A process trains one trial after another (`reuse_actors`), all in one thread, so that Python, torch, Ultralytics, CUDA
and cuDNN's execution plans are paid once (35 s on a GPU). It is renewed when it can train no more or holds more and
more memory: it then refuses its next trial with `ProcessSpent`, and the driver starts that trial in a new process.

Ray tells a stopped trial nothing until another one needs its process, so the driver sends it the verdict itself
(`end_training`). The next trial begins when the training has left its loop; the end of its W&B run may overlap with it.

Ray's checkpoints are not used. A trial that starts looks into its own folder of the record, and where epochs are
recorded it continues after the last of them: after a pause or a killed process, on another node, or in a resumed study.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from ray import tune

from yolotune.record.verdict import Ending, Verdict
from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.training.memory import MemoryWatch, free_memory
from yolotune.training.messages import TrainingTask
from yolotune.training.session import TrainingSession, TrainingThread


class ProcessSpent(Exception):
    """A process takes on no further trial; the trial is started in another one."""


class Trainable(tune.Trainable):
    """Trains `config["point"]` as trial `config["number"]`.

    A result carries what the training said (`training.messages.Said`) under `said`. `config["place"]` is where it
    trains (`slots.Place`). `config["ending"]`, if there, is the verdict on a trial that was cut while it was paused: it
    trains nothing and ends in good order.
    """

    session_class = TrainingSession

    def setup(self, config: dict[str, Any], job: Job, tracker: Tracker, study_folder: Path) -> None:
        if not (study_folder / "study.yaml").exists():
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see {study_folder}: give a --storage all nodes share"
            )
        self._shared = (job, tracker, study_folder)
        self._thread = TrainingThread()
        self._memory = MemoryWatch()
        self._card = config["place"].card
        if self._card is not None:
            seen = [card for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
            os.environ["CUDA_VISIBLE_DEVICES"] = seen[self._card] if seen else str(self._card)
        self._previous: TrainingSession | None = None
        self._broken: str | None = None
        self._take_on(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes on another trial in the same process, once the one before has left its training.

        Raises:
            ProcessSpent: It does not; the trials before have ended in good order.
        """
        if self._session is not None:
            self._session.wait_left()
        if self._previous is not None:
            self._previous.join()
        self._previous = self._session
        self._require_fit(new_config["place"].card)
        self._take_on(new_config)
        return True

    def _require_fit(self, card: int | None) -> None:
        """Refuses a trial that would train worse here than in a new process."""
        free_memory()
        reason = self._broken or self._memory.excess()
        if card != self._card:
            reason = f"it is on card {self._card}, and the trial on card {card}"
        if reason is not None:
            self.join_training()
            raise ProcessSpent(reason)

    def _take_on(self, config: dict[str, Any]) -> None:
        job, tracker, folder = self._shared
        self._session: TrainingSession | None = None
        self._task = TrainingTask(
            number=int(config["number"]),
            point=config["point"],
            ending=config.get("ending"),
            job=job,
            tracker=tracker,
            folder=folder,
            alone=config["place"].alone,
        )

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns what the training says; with `done` where it ends by itself."""
        if self._session is None:
            self._session = self.session_class(self._task, self._thread)
        else:
            self._session.go_on()
        said = self._session.next()
        if said.card_lost or (said.ending is not None and said.ending.verdict is Verdict.OOM):
            self._broken = said.ending.reason if said.ending else "its card is lost"
        return {"said": said, "done": said.ending is not None}

    def end_training(self, ending: Ending | None) -> None:
        """Receives the driver's verdict, None if the trial continues in another process; returns at once.

        Called by the driver, not by Ray.
        """
        if self._session is not None and ending is None:
            self._session.leave()
        elif self._session is not None and ending is not None:
            self._session.end(ending)

    def join_training(self) -> None:
        """Waits until all trials of the process have ended in good order. Called by the driver, not by Ray."""
        for session in (self._session, self._previous):
            if session is not None:
                session.join()

    def cleanup(self) -> None:
        """Waits until all trials of the process have ended in good order; one without a verdict is interrupted."""
        self.join_training()

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Leaves the training, to continue another time: Ray saves a trial only to pause it.

        Once this returns nothing of the trial runs any more, so the next process has its folder to itself.
        """
        if self._session is not None:
            self._session.pause()
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Does nothing: what the trial continues from is in its folder."""
