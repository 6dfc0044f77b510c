"""One trial as a Ray Trainable: a step is an epoch of its training, which runs in a thread (`training.py`).

Ray stops a function trainable by raising `SystemExit` inside its callback and kills the process a moment later. This
trial is asked to stop and leaves Ultralytics' loop by itself: final evaluation, curves and uploads happen, and only
then does `cleanup` return.

A process trains one trial after another (`reuse_actors`), so that Python, torch and Ultralytics start once and not for
every trial. Ray then tells a stopped trial nothing until another one needs its process. So a training that waits for an
answer also looks for its verdict in the record, and leaves by itself. The next trial begins when it has left; the end
of its W&B run may still be under way then.

Ray's checkpoints are not used. A trial that starts looks into its own folder of the record, and where epochs are
recorded it goes on from the last of them: after a pause or a killed process, on another node, or in a resumed study
alike. Ray asks for a checkpoint only to pause a trial; it gets an empty one, once the training has been left.
"""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from typing import Any

from ray import tune

from yolotune.tracking.wandb import Tracking
from yolotune.training.job import Job, Order
from yolotune.training.session import Epoch, Left, Task, Training


class Trial(tune.Trainable):
    """Trains `config["point"]` as trial `config["number"]`.

    Its result carries the epoch report under `report`, and at the top level the epoch and the objective, which Ray's
    parts look for. `config["cut"]`, if there, says why the trial was cut while it was paused.
    """

    training = Training

    def setup(self, config: dict[str, Any], job: Job, tracking: Tracking, study_folder: Path) -> None:
        if not (study_folder / "study.yaml").exists():
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see {study_folder}: give a --storage all nodes share"
            )
        self._shared = (job, tracking, study_folder)
        self._metric = job.metric
        self._before: Training | None = None
        self._take_on(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes on another trial in the same process, once the one before has left."""
        if self._training is not None:
            self._training.leave()
        if self._before is not None:
            self._before.join()
        self._before = self._training
        gc.collect()  # a training leaves cycles, with its images and its model in them
        self._take_on(new_config)
        return True

    def _take_on(self, config: dict[str, Any]) -> None:
        job, tracking, study_folder = self._shared
        self._task = Task(int(config["number"]), config["point"], config.get("cut"), job, tracking, study_folder)
        self._training: Training | None = None
        self._last: dict[str, Any] = {}

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns its report; the last one comes with `done` and a verdict."""
        if self._training is None:
            self._training = self.training(self._task)
        else:
            self._training.answer(Order.GO)
        said = self._training.next()
        if isinstance(said, Epoch):
            self._last = {"epoch": said.row["epoch"], self._metric: said.row[self._metric]}
            self._last |= {"report": said.row, "effective": said.effective}
            if not said.last:
                return self._last
            self._training.answer(Order.GO)  # held back until the training has left, so that the verdict comes with it
            said = self._training.next()
        assert isinstance(said, Left) and said.ending is not None
        verdict = {"verdict": str(said.ending.verdict), "reason": said.ending.reason, "done": True}
        effective = {} if said.effective is None else {"effective": said.effective}
        return {"epoch": 0, self._metric: float("nan"), **self._last, **effective, **verdict}

    def cleanup(self) -> None:
        """Asks a running training to leave after its epoch, and waits until all trials of the process have ended."""
        if self._training is not None:
            self._training.leave()
            self._training.join()
        if self._before is not None:
            self._before.join()

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Leaves the training, to go on another time: Ray saves a trial only to pause it, and gives its process away.

        Once this returns nothing of the trial runs any more, so the next process has its folder to itself.
        """
        if self._training is not None:
            self._training.pause()
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Does nothing: what the trial goes on from is in its folder."""
