"""Synchronous successive halving in Ray Tune: trials pause at a rung and go on from their last.pt, in the same record.

Why not Ray's own `HyperBandScheduler` or `HyperBandForBOHB` (2.60):

- The size of a bracket, its first rung and their number follow from `max_t` and the factor alone (250 epochs, factor 3:
  six brackets, the largest of 243 trials from epoch 1), so batches of 9 from 10 % of the epochs cannot be had.
- A bracket is filled by arrival and ranked by the last value, and its state lives in Ray's own snapshot only: a study
  that is killed and goes on from its record would compare other trials with each other.
- `max_concurrent_trials` counts paused trials: Ray's limiter gives out as many as there are slots, and no more before
  one has ended. Tried with 12 trials in two slots, HyperBandScheduler stopped none of them. HyperBandForBOHB tells the
  limiter of each pause, by a hook (`on_pause`) that only `TuneBOHB` has; with another searcher it ends in an error.

Here the searcher is asked for a trial only when a slot is free and `SuccessiveHalving` wants a new one (`turn`), which
bounds the trials at a time instead of `max_concurrent_trials`. Ray's part is to pause: it calls
`Trial.save_checkpoint`, in which the training is left, gives its process to another trial or ends it, and finds one for
the trial once `choose_trial_to_run` names it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from yolotune.config.settings import Settings
from yolotune.record.study import Ending, TrialRecord, Verdict
from yolotune.schedulers.halving import SuccessiveHalving, Turn, Word
from yolotune.schedulers.plateau import Endings, report_in
from yolotune.schedulers.ranking import losses
from yolotune.schedulers.stop import Stop
from yolotune.search.optimizer import ending_of


class Halving(TrialScheduler):
    """Ray scheduler that pauses a trial at its rung, resumes it if it is kept, and has it end in good order if not.

    A trial that is cut while it is paused gets a slot once more, trains nothing, evaluates its best.pt, draws its
    curves and closes its W&B run: its config then says `cut`. The last one to reach a rung is cut, or trains on, at
    once.
    """

    def __init__(self, study: Settings, endings: Endings, stop: Stop, recorded: Sequence[TrialRecord] = ()) -> None:
        """Rebuilds the rungs.

        Args:
            study: The study.
            endings: Why schedulers and stoppers stopped a trial.
            stop: When set, paused trials are let go of; they go on when the study is resumed.
            recorded: Trials of before.
        """
        super().__init__()
        self._rules = SuccessiveHalving(study)
        self._rules.rebuild(recorded)
        self._metric = study.metric
        self._slots = study.concurrent
        self._endings = endings
        self._stop = stop
        self._known: set[int] = set()
        self._busy: set[int] = set()

    # --- what the searcher asks ----------------------------------------------------------------------------------

    def turn(self) -> Turn | None:
        """Returns the trial that Ray does not know yet and should start now; None if there is none."""
        turn = self._next()
        return None if turn is None or turn.number in self._known else turn

    def no_more(self, total: int) -> None:
        """The searcher has no more than so many trials."""
        self._rules.no_more(total)

    def again(self, number: int) -> None:
        """A trial whose process has just died is started again, from its record."""
        self._known.discard(number)
        self._rules.begin(number)

    def _next(self) -> Turn | None:
        return self._rules.turn(self._busy) if len(self._busy) < self._slots else None

    # --- what Ray asks and tells ---------------------------------------------------------------------------------

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Returns the paused trial whose turn it is; what is pending Ray starts by itself."""
        live = tune_controller.get_live_trials()
        self._busy = {_number(trial) for trial in live if trial.status in (Trial.PENDING, Trial.RUNNING)}
        paused = {_number(trial): trial for trial in live if trial.status == Trial.PAUSED}
        if self._stop.is_set():
            for number, trial in sorted(paused.items()):
                self._endings[number] = Ending(Verdict.INTERRUPTED, self._stop.reason)
                tune_controller.stop_trial(trial)
            return None
        turn = self._next()
        trial = paused.get(turn.number) if turn else None
        if trial is not None and turn is not None and turn.cut:
            self._endings[turn.number] = Ending(Verdict.PRUNED, turn.cut)
            trial.set_config({**trial.config, "cut": turn.cut})
        return trial

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Ray has a trial that is to start."""
        number, cut = _number(trial), trial.config.get("cut")
        self._known.add(number)
        self._busy.add(number)
        self._rules.begin(number)
        if cut:
            self._endings[number] = Ending(Verdict.PRUNED, cut)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = _number(trial)
        self._report(trial, result)
        word = self._rules.word(number)
        if word is Word.CUT:
            self._endings[number] = Ending(Verdict.PRUNED, self._rules.reason(number))
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.PAUSE if word is Word.WAIT else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        number = _number(trial)
        if "epoch" in result:
            self._report(trial, result)
        self._rules.end(number, ending_of(self._endings.get(number), result, error=False).verdict)
        self._busy.discard(number)

    def _report(self, trial: Trial, result: dict[str, Any]) -> None:
        early = losses(report_in(result), trial.config["point"])
        self._rules.report(_number(trial), int(result["epoch"]), result.get(self._metric), early)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial's process died; if it is started again, the searcher says so at once (`again`)."""
        self._rules.end(_number(trial), Verdict.FAILED)
        self._busy.discard(_number(trial))

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A paused trial was let go of because the study ends."""

    def debug_string(self) -> str:
        return "synchronous successive halving"


def _number(trial: Trial) -> int:
    return int(trial.config["number"])
