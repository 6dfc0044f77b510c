"""What Ray Tune calls while a study runs: the keeper of the record, and the stopper of the whole study."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from yolotune.record import Ending, Record, Verdict, trial_folder
from yolotune.schedule import Endings, PlateauStopper
from yolotune.search import ending_of
from yolotune.study import Study
from yolotune.yamlio import read_yaml

if TYPE_CHECKING:
    from yolotune.engine import Listener


class StudyStopper(Stopper):
    """The plateau rule, if there is one, and the end of the whole study after Ctrl-C."""

    def __init__(self, study: Study, endings: Endings, stop: threading.Event) -> None:
        self._plateau = PlateauStopper(study, endings) if study.plateau else None
        self._endings = endings
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if self._stop.is_set() and not result.get("done"):
            self._endings[int(result["config"]["number"])] = Ending(Verdict.INTERRUPTED, "the study was stopped")
            return True
        return self._plateau is not None and self._plateau(trial_id, result)

    def stop_all(self) -> bool:
        return False  # trials are stopped one by one at their next report, so that each ends in good order

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that never happens


class RecordKeeper(Callback):
    """Writes every report and verdict into the record as it arrives, and tells the listener."""

    def __init__(self, record: Record, study: Study, endings: Endings, listener: Listener, patience: float) -> None:
        self._record = record
        self._study = study
        self._endings = endings
        self._listener = listener
        self._patience = patience
        self._effective: dict[int, dict[str, Any]] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = int(trial.config["number"])
        if number not in self._record.numbers:
            self._record.start(number, trial.config["point"])
            self._listener.trial_started(number, trial.config["point"])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "report" not in result:
            return
        number, row = int(trial.config["number"]), result["report"]
        self._effective[number] = result["effective"]
        known = len(self._record.rows(number))
        self._record.append(number, row)
        if len(self._record.rows(number)) > known:
            self._listener.epoch_reported(number, row)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = int(trial.config["number"])
        self._end(number, ending_of(self._endings.get(number), trial.last_result, error=False))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = int(trial.config["number"])
        self._end(number, Ending(Verdict.FAILED, _error_of(trial_folder(self._record.folder, number))))

    def _end(self, number: int, ending: Ending) -> None:
        if number not in self._record.numbers or self._record.ended(number):
            return
        effective = self._effective.get(number, {})
        value = self._record.end(number, ending, effective)
        best = False
        if value is not None:
            study = self._study
            hyperparameters = {"model": study.model, "epochs": study.epochs, **study.fixed}
            point = self._record.point(number)
            best = self._record.offer_best(number, value, {**hyperparameters, **point, **effective})
        self._listener.trial_ended(number, ending, value, best)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Waits for the last trials: Ray gives those that end together with the study only ten seconds."""
        if all(trial.is_finished() for trial in trials):
            self._wait_for_stopped_trials()

    def _wait_for_stopped_trials(self) -> None:
        """Waits until every trial that a rule stopped has left its training and says so."""
        deadline = time.monotonic() + self._patience
        for number in self._endings:
            marker = trial_folder(self._record.folder, number) / "ended.yaml"
            while not marker.exists() and time.monotonic() < deadline:
                time.sleep(0.05)

    def close(self) -> None:
        """Gives a verdict to what Ray left without one."""
        for number in self._record.numbers:
            self._end(number, Ending(Verdict.INTERRUPTED, "the study was stopped"))

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles it for a restore that never happens


def _error_of(folder: Path) -> str:
    """Returns the error that a trial wrote down before it ended; one that was killed wrote nothing."""
    marker = folder / "ended.yaml"
    said = read_yaml(marker).get("error") if marker.exists() else None
    return str(said).strip().splitlines()[0] if said else "the trial's process died"
