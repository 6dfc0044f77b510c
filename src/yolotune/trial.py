"""One trial as a Ray Trainable: the Ultralytics trainer in a thread, one handshake per epoch.

Ray stops a function trainable by raising `SystemExit` inside its callback and kills the process a moment later. This
trial is asked to stop and leaves Ultralytics' loop by itself: final evaluation, curves and uploads happen, and only
then does `cleanup` return and the slot become free.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune

from yolotune.job import Job, isolate
from yolotune.record import SCHEMA, Ending, Verdict, trial_folder
from yolotune.space import Point
from yolotune.yamlio import write_yaml


@dataclass(frozen=True)
class _Epoch:
    row: dict[str, Any]
    last: bool
    effective: dict[str, Any]


@dataclass(frozen=True)
class _End:
    ending: Ending | None
    error: str | None


class Trial(tune.Trainable):
    """Trains `config["point"]` as trial `config["number"]`.

    A step is an epoch. Its result carries the epoch report under `report`, and at the top level the epoch and the
    objective, which Ray's parts look for.
    """

    def setup(self, config: dict[str, Any], job: Job, study_folder: Path) -> None:
        self._job = job
        self._number = int(config["number"])
        self._point: Point = config["point"]
        self._folder = trial_folder(study_folder, self._number)
        self._thread: threading.Thread | None = None
        self._from_thread: queue.Queue[_Epoch | _End] = queue.Queue()
        self._may_go_on: queue.Queue[bool] = queue.Queue()
        self._last: dict[str, Any] = {}

    def step(self) -> dict[str, Any]:
        """Trains one epoch and returns its report; the last one comes with `done` and a verdict."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._train, name=f"trial-{self._number}", daemon=True)
            self._thread.start()
        else:
            self._may_go_on.put(True)
        said = self._from_thread.get()
        if isinstance(said, _Epoch):
            self._last = {"epoch": said.row["epoch"], self._job.metric: said.row[self._job.metric]}
            self._last |= {"report": said.row, "effective": said.effective}
            if not said.last:
                return self._last
            self._may_go_on.put(True)  # held back until the trainer has left, so that the verdict comes with it
            said = self._from_thread.get()
        assert isinstance(said, _End)
        return self._ended(said)

    def _ended(self, end: _End) -> dict[str, Any]:
        if end.error is not None:
            raise RuntimeError(end.error)
        assert end.ending is not None
        verdict = {"verdict": str(end.ending.verdict), "reason": end.ending.reason, "done": True}
        return {"epoch": 0, self._job.metric: float("nan"), **self._last, **verdict}

    def cleanup(self) -> None:
        """Asks a running training to stop after its epoch and waits until it has left in good order."""
        if self._thread is None:
            return
        while self._thread.is_alive():
            self._may_go_on.put(False)
            self._thread.join(timeout=0.2)

    # --- in the thread -------------------------------------------------------------------------------------------

    def _train(self) -> None:
        end = _End(None, None)
        final: dict[str, float] = {}
        try:
            isolate()
            with _log_file(self._folder / "train.log"):
                from yolotune.trainer import TrialTrainer

                trainer = TrialTrainer(
                    self._job, self._point, self._folder, lambda *epoch: self._report(trainer, *epoch)
                )
                trainer.train()
                end, final = _End(trainer.ending, None), trainer.final
        except Exception as error:
            end = _End(_out_of_memory(error), f"{type(error).__name__}: {error}")
            if end.ending is not None:
                end = _End(end.ending, None)
            (self._folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            ended = {"schema": SCHEMA, "error": end.error, "best": final}
            write_yaml(self._folder / "ended.yaml", ended, "Written by the trial when it had left in good order.")
            self._from_thread.put(end)

    def _report(self, trainer: Any, row: dict[str, Any], last: bool) -> bool:
        """Hands an epoch to `step` and waits for the answer; whether to stop."""
        self._from_thread.put(_Epoch(row, last, trainer.effective()))
        return not self._may_go_on.get()


def _out_of_memory(error: Exception) -> Ending | None:
    """Returns the verdict `oom` for an error that says so: training it again would end the same way."""
    if "out of memory" not in str(error).lower():
        return None
    return Ending(Verdict.OOM, str(error).splitlines()[0])


class _log_file:
    """Keeps what Ultralytics says about one training in a file of the trial."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        from ultralytics.utils import LOGGER

        self._handler = logging.FileHandler(self._path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOGGER.addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        from ultralytics.utils import LOGGER

        LOGGER.removeHandler(self._handler)
        self._handler.close()
