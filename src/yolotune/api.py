"""The Python API: `tune` runs a search, `load` reads one, and a `Study` is what both return. See docs/python.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune.config.arguments import ultralytics_defaults
from yolotune.config.flags import settings_of_flags
from yolotune.config.layers import load_settings
from yolotune.config.settings import Settings
from yolotune.errors import Problem, UserError, did_you_mean
from yolotune.metrics import COMPUTED
from yolotune.record.study import StudyRecord, TrialRecord, read_study
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Objects
from yolotune.workflows.running import OBJECT, name_of

if TYPE_CHECKING:
    import optuna
    import pandas

    from yolotune.workflows.confirm import Confirmation
    from yolotune.workflows.retrain import Retrained

Paths = str | os.PathLike[str]


class Study:
    """A study, running or ended, as its folder tells it; made by `tune` and `load`.

    Attributes:
        folder: Where it is kept.
        record: All that the folder holds, as it was when the object was made or `reload` was called.

    Example:
        >>> import yolotune
        >>> study = yolotune.load("runs/tune/study")  # doctest: +SKIP
        >>> study.best.value, study.best.point  # doctest: +SKIP
    """

    def __init__(self, folder: Paths, *, objects: Objects | None = None) -> None:
        """Reads a study.

        Args:
            folder: Of the study.
            objects: What the study was given as objects; `resume`, `confirm` and `retrain` need them again.

        Raises:
            UserError: The folder holds no study, or a file of it is damaged.
        """
        self.folder = Path(folder).resolve()
        self.record: StudyRecord = read_study(self.folder)
        self._objects = objects or Objects()

    @property
    def settings(self) -> Settings:
        """What the study was told."""
        return self.record.settings

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials by number; each has `.number`, `.point`, `.verdict`, `.value`, `.best_epoch`, `.epochs`."""
        return self.record.trials

    @property
    def best(self) -> TrialRecord | None:
        """The trial that best.yaml holds, with `.value`, `.point` and `.weights`; None as long as none has a value.

        It is the trial with the best value, or the one that `confirm` found to be best.
        """
        return self.record.chosen

    @property
    def test_scores(self) -> dict[int, dict[str, float]]:
        """What models score on the test split, by trial number: the best one and the defaults, each scored once.

        Empty where data.yaml has no such split, and before the study has ended.
        """
        known = self.record.on_test
        scores = {trial.number: known.of(trial) for trial in self.trials} if known else {}
        return {number: found for number, found in scores.items() if found is not None}

    def trials_dataframe(self) -> pandas.DataFrame:
        """Returns a row per trial: hyperparameters, verdict, value, best epoch, epochs, seconds."""
        from yolotune.record.frames import trials_frame

        return trials_frame(self.record)

    def epochs_dataframe(self) -> pandas.DataFrame:
        """Returns a row per epoch of every trial: trial, epoch and the metrics by the record's names."""
        from yolotune.record.frames import epochs_frame

        return epochs_frame(self.record)

    def to_optuna(self) -> optuna.Study:
        """Returns the study as one of Optuna's in memory, for its importances and plots."""
        from yolotune.search import to_optuna

        return to_optuna(self.record)

    def report(self, *, photos: bool = True) -> Path:
        """Writes `report.html` into the study's folder and returns its path.

        Args:
            photos: Draw validation photographs with the best weights, about ten seconds on a CPU.
        """
        from yolotune.report.page import write_report
        from yolotune.tracking import redact

        return write_report(self.folder, photos=photos, redact=redact)

    def reload(self) -> Study:
        """Reads the folder again, for a study that another process works on, and returns this object."""
        self.record = read_study(self.folder)
        return self

    # --- working on it -------------------------------------------------------------------------------------------

    def resume(
        self,
        *,
        sampler: Any = None,
        objective: Callable[[Mapping[str, Any]], float] | None = None,
        callbacks: Mapping[str, Sequence[Callable[[Any], None]]] | None = None,
        listener: Listener | None = None,
        allow_changes: bool = False,
        **changes: Any,
    ) -> Study:
        """Trains what is left of the study, reads it again and returns this object.

        Args:
            sampler: The Optuna sampler, if the study began with one; this object may know it still.
            objective: The objective, if it is a function; likewise.
            callbacks: Ultralytics callbacks by event; likewise.
            listener: Who is told what happens; progress is shown if there is none.
            allow_changes: Resume even where values of before and after cannot be compared.
            changes: Settings that are others than before, by the names of the flags, such as `num_samples=80`.

        Raises:
            UserError: An object that the study began with is missing, or it has changed in a way that forbids this.
        """
        from yolotune.workflows.resume import resume

        known = self._objects
        self._objects = Objects(sampler or known.sampler, objective or known.objective, callbacks or known.callbacks)
        named = _named_objects(_settings_of(changes), self._objects)
        settings = load_settings(self.folder, named)
        with _shown(listener) as told:
            resume(self.folder, settings, told, allow_changes=allow_changes, objects=self._objects)
        return self.reload()

    def confirm(
        self, *, top: int = 3, seeds: int = 3, listener: Listener | None = None, **changes: Any
    ) -> Confirmation:
        """Trains the best points and Ultralytics' defaults again on fresh seeds, and compares them.

        Args:
            top: Points beside the defaults, by their search value; 1 or more.
            seeds: Fresh seeds, the same for every point; 2 or more give an uncertainty.
            listener: Who is told what happens; progress is shown if there is none.
            changes: Settings that are others than before: where it runs, such as `concurrent=2`.
        """
        from yolotune.workflows.confirm import confirm

        settings = load_settings(self.folder, _settings_of(changes))
        with _shown(listener) as told:
            found = confirm(self.folder, settings, told, top=top, seeds=seeds, objects=self._objects)
        self.reload()
        return found

    def retrain(
        self, *, seeds: int = 1, on_all: bool = False, listener: Listener | None = None, **changes: Any
    ) -> Retrained:
        """Trains the final model with the best point, the confirmed one if there is one.

        Args:
            seeds: Trainings, each on a seed of its own; the best by its value on the val images is marked.
            on_all: Train on the val images too; then no score is an honest one.
            listener: Who is told what happens; progress is shown if there is none.
            changes: Settings that are others than before, such as `epochs=600`; Ultralytics arguments too.
        """
        from yolotune.workflows.retrain import retrain

        settings = load_settings(self.folder, _settings_of(changes))
        with _shown(listener) as told:
            return retrain(self.folder, settings, told, seeds=seeds, on_all=on_all, objects=self._objects)

    def __repr__(self) -> str:
        best = self.best
        shown = "no value yet" if best is None or best.value is None else f"best {best.value:.4f} (trial {best.number})"
        return f"Study({str(self.folder)!r}, {len(self.trials)} trials, {shown})"

    def _repr_html_(self) -> str:
        from yolotune.display.tables import study_html

        return study_html(self.record)


def tune(
    data: Paths,
    *,
    sampler: Any = None,
    objective: Callable[[Mapping[str, Any]], float] | str | None = None,
    callbacks: Mapping[str, Sequence[Callable[[Any], None]]] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Study:
    """Searches for the hyperparameters that train the best model on a dataset, and returns the study.

    Args:
        data: `data.yaml` of the dataset.
        sampler: An Optuna sampler in place of `search="tpe"` and the like.
        objective: Name of a metric, or a function that computes it from an epoch report; higher is better unless
            `mode="min"` says otherwise. A function is sent to the trials' processes.
        callbacks: Ultralytics callbacks by event, such as `{"on_train_start": [print]}`.
        listener: Who is told what happens; progress is shown if there is none.
        settings: By the names of the flags: `model`, `epochs`, `num_samples`, `imgsz`, `project`, `name`, `seed`,
            `concurrent`, `budget`, `grace_period`, ...; `space` may hold distributions as text or objects, Ray's too.
            Any other name is an Ultralytics argument that is the same in all trials.

    Example:
        >>> import yolotune
        >>> study = yolotune.tune("data.yaml", model="yolo11n-seg.pt", epochs=100, num_samples=20)  # doctest: +SKIP
        >>> study.best.point, study.best.weights  # doctest: +SKIP

    Raises:
        UserError: Everything that is wrong with the study, before the first epoch.
        StudyFailed: No trial has a value.
        KeyboardInterrupt: The study was stopped; its record is complete up to there.
    """
    from yolotune.workflows.search import search

    given = {**_settings_of(settings), "data": os.fspath(data)}
    if isinstance(objective, str):
        given["objective"] = objective
    objects = Objects(sampler, None if isinstance(objective, str) else objective, callbacks or {})
    with _shown(listener) as told:
        record = search(load_settings(None, _named_objects(given, objects)), told, objects=objects)
    return Study(record.folder, objects=objects)


def load(folder: Paths) -> Study:
    """Returns the study of a folder, running or ended.

    Raises:
        UserError: The folder holds no study, or a file of it is damaged.
    """
    return Study(folder)


def _settings_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings from keywords: the names of flags, the fields of settings, and Ultralytics arguments."""
    plain = {name: _as_text(value) for name, value in given.items()}
    settings, others = settings_of_flags(plain)
    known = ultralytics_defaults()
    names = (*Settings.model_fields, *known)
    unknown = [name for name in others if name not in known]
    if unknown:
        raise UserError(
            Problem(name, f"neither a setting nor an Ultralytics argument.{did_you_mean(name, names)}", "correct it.")
            for name in unknown
        )
    if others:
        settings["train"] = {**settings.get("train", {}), **others}
    return settings


def _as_text(value: Any) -> Any:
    """Returns paths as text; a list of them too."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_as_text(one) for one in value] if isinstance(value, (list, tuple)) else value


def _named_objects(settings: dict[str, Any], objects: Objects) -> dict[str, Any]:
    """Returns settings that name the objects, as the record keeps them."""
    named = dict(settings)
    if objects.sampler is not None:
        named["search"] = f"{OBJECT}{name_of(objects.sampler)}"
    if objects.objective is not None:
        named["objective"] = f"{COMPUTED}{name_of(objects.objective)}"
    return named


@contextmanager
def _shown(listener: Listener | None) -> Iterator[Listener]:
    """Yields who is told: the given listener, or one that shows progress in a terminal, a notebook or a log."""
    if listener is not None:
        yield listener
        return
    from yolotune.display.live import watching

    with watching() as shown:
        yield shown
