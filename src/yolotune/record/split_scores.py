"""What delivered models score on the test split, as `test.yaml` in a study's folder says it.

The split takes part in no choice. A model is scored once: what is written here is not measured again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolotune._yaml import read_yaml, write_yaml
from yolotune.errors import UserError

if TYPE_CHECKING:
    from yolotune.record.study import TrialRecord

FILE = "test.yaml"
SCHEMA = 1


@dataclass(frozen=True)
class ModelScores:
    """A model on the test split.

    Attributes:
        best_epoch: Of its trial; with `value` it tells the model from another one of that number.
        value: Of its trial, on val.
        scores: By the record's names, such as `seg_metrics/F1`.
    """

    best_epoch: int | None
    value: float | None
    scores: dict[str, float]


@dataclass(frozen=True)
class SplitScores:
    """The models of a study on the test split.

    Attributes:
        fingerprint: Of the dataset.
        images: Images of the split.
        objects: Labelled objects in them.
        models: By trial number.
    """

    fingerprint: str
    images: int
    objects: int
    models: dict[int, ModelScores] = field(default_factory=dict)

    def of(self, trial: TrialRecord) -> dict[str, float] | None:
        """Returns the scores of a trial's model; None where it is another one by now, or was not scored."""
        model = self.models.get(trial.number)
        if model is None or (model.best_epoch, model.value) != (trial.best_epoch, trial.value):
            return None
        return model.scores

    def extended(self, models: Mapping[int, ModelScores]) -> SplitScores:
        """Returns it with further models."""
        return SplitScores(self.fingerprint, self.images, self.objects, {**self.models, **models})


def read_split_scores(study: Path) -> SplitScores | None:
    """Returns what is known of a study's models on the test split; None where the file is missing or damaged."""
    path = study / FILE
    try:
        said: dict[str, Any] = read_yaml(path, whole=True) if path.exists() else {}
        if not said:
            return None
        models = {int(number): ModelScores(**model) for number, model in said["models"].items()}
        return SplitScores(str(said["fingerprint"]), int(said["images"]), int(said["objects"]), models)
    except (UserError, AttributeError, KeyError, TypeError, ValueError):
        return None  # it is scored again


def write_split_scores(study: Path, scores: SplitScores) -> None:
    """Writes `test.yaml`."""
    document = {"schema": SCHEMA, **asdict(scores)}
    write_yaml(study / FILE, document, "Scores on the test split, measured once: docs/reading-the-report.md")
