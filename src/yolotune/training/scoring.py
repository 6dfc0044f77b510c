"""Scores weights on a split that no training has looked at; run as a process of its own.

    echo REQUEST.json | python -m yolotune.training.scoring

It evaluates as `yolo val split=test` does, at batch 16 and in single precision, but with the labels of the study's
index, so that nothing is written beside the user's images and no code of a data.yaml is run.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolotune.config.isolation import isolate
from yolotune.training.tasks import task_named

#: Arguments under which a validation writes files.
WRITES = ("plots", "save", "save_json", "save_txt", "save_crop", "visualize")


def main() -> None:
    """Loads what an evaluation needs, and answers the request that is named on standard input, if there is one."""
    isolate()
    import torchvision  # noqa: F401  # loaded by the first batch otherwise
    import ultralytics.models  # noqa: F401

    request = sys.stdin.read().strip()
    if request:
        answer(Path(request))
    gc.freeze()  # a last collection of all that is loaded takes most of a second


def answer(request: Path) -> None:
    """Scores what a request asks for, and writes `answer.json` beside it: the scores of each model.

    Args:
        request: JSON with `task`, `split`, `data`, `index`, `device`, `threads`, and `models`: for each its `weights`
            and the `arguments` that it was trained with.
    """
    import torch

    asked = json.loads(request.read_text(encoding="utf-8"))
    torch.set_num_threads(asked["threads"])
    found = [score(model["weights"], model["arguments"], asked) for model in asked["models"]]
    (request.parent / "answer.json").write_text(json.dumps(found), encoding="utf-8")


def score(weights: str, trained_with: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of a model by the record's names.

    Args:
        weights: A best.pt.
        trained_with: Its Ultralytics arguments. Those that say what an object is count here too: `single_cls`,
            `classes`, `overlap_mask`.
        asked: The request.
    """
    from ultralytics.engine import validator as engine

    from yolotune.training.datasets import EVALUATION_BATCH, indexed_dataset, resolved_dataset

    trainer = task_named(asked["task"])
    data = resolved_dataset(Path(asked["data"]), single_cls=bool(trained_with.get("single_cls")))
    engine.check_det_dataset = lambda *_, **__: data  # it can download and run code; this process does nothing else

    class SplitValidator(trainer.validator_class):  # type: ignore[name-defined, misc]
        def build_dataset(self, img_path: Any, mode: str = "val", batch: int | None = None) -> Any:
            index = Path(asked["index"])
            return indexed_dataset(index, img_path, mode, batch, args=self.args, stride=self.stride, data=self.data)

    arguments = {
        **trained_with,
        **dict.fromkeys(WRITES, False),
        "mode": "val",
        "task": asked["task"],
        "model": weights,
        "data": asked["data"],
        "split": asked["split"],
        "batch": EVALUATION_BATCH,
        "device": asked["device"],
        "cache": False,
        "workers": 0,
    }
    with tempfile.TemporaryDirectory(prefix="yolotune-scores-") as folder:
        validator = SplitValidator(save_dir=Path(folder), args=arguments)
        validator(model=weights)
    scores: dict[str, float] = validator.scores(trainer.metric_parts)
    return scores


if __name__ == "__main__":
    main()
