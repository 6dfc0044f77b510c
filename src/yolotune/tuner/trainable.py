"""A trial as Ray Tune runs it: a step is an epoch of its training, which runs in a thread (`training/session.py`).

Ray stops a function trainable by raising `SystemExit` inside its callback and kills the process a moment later. This
one is told to stop and leaves Ultralytics' loop by itself: final evaluation, curves and uploads happen, and only then
does `cleanup` return.

A process trains one trial after another (`reuse_actors`), so that Python, torch and Ultralytics are loaded once. Ray
then tells a stopped trial nothing until another one needs its process, so the driver sends it the verdict itself
(`end_training`). The next trial begins when the training has left its loop; the end of its W&B run may overlap with it.

Ray's checkpoints are not used. A trial that starts looks into its own folder of the record, and where epochs are
recorded it continues after the last of them: after a pause or a killed process, on another node, or in a resumed study.
"""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from typing import Any

from ray import tune

from yolotune.record.verdict import Ending
from yolotune.tracking import Tracker
from yolotune.training.job import Job
from yolotune.training.session import TrainingSession, TrainingTask


class Trainable(tune.Trainable):
    """Trains `config["point"]` as trial `config["number"]`.

    A result carries what the training said (`training.session.Said`) under `said`. `config["ending"]`, if there, is the
    verdict on a trial that was cut while it was paused: it trains nothing and ends in good order.
    """

    session_class = TrainingSession

    def setup(self, config: dict[str, Any], job: Job, tracker: Tracker, study_folder: Path) -> None:
        if not (study_folder / "study.yaml").exists():
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see {study_folder}: give a --storage all nodes share"
            )
        self._shared = (job, tracker, study_folder)
        self._previous: TrainingSession | None = None
        self._take_on(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes on another trial in the same process, once the one before has left its training."""
        if self._session is not None:
            self._session.wait_left()
        if self._previous is not None:
            self._previous.join()
        self._previous = self._session
        gc.collect()  # a training leaves cycles, with its images and its model in them
        self._take_on(new_config)
        return True

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
        )

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns what the training says; with `done` where it ends by itself."""
        if self._session is None:
            self._session = self.session_class(self._task)
        else:
            self._session.go_on()
        said = self._session.next()
        return {"said": said, "done": said.ending is not None}

    def end_training(self, ending: Ending) -> None:
        """Receives the driver's verdict. Called by the driver, not by Ray; returns at once."""
        if self._session is not None:
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
