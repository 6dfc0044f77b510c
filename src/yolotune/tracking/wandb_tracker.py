"""Weights & Biases as a tracker: what all runs of a study share, and how each is opened."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolotune.config.settings import Settings
from yolotune.tracking.base import StudyRun, Tracker, TrackingContext, TrialRun, run_id
from yolotune.tracking.none import DISABLED, NullTracker
from yolotune.tracking.wandb_client import OUTAGE, UNSENT, RunThread, outage
from yolotune.tracking.wandb_environment import redacted
from yolotune.tracking.wandb_preflight import preflight
from yolotune.tracking.wandb_runs import WandbStudyRun, WandbTrialRun


@dataclass(frozen=True)
class WandbTracker:
    """Tracks a study with W&B. Nothing waits for W&B and nothing fails with it (`wandb_client.py`).

    Attributes:
        context: Of the study, W&B's own environment variables applied.
        folder: Where wandb keeps runs and staged artifacts; its name is `wandb`.
        entity: W&B user or team; None for the key's own.
        job_type: Of every run; that of the context's kind, and `study`, if not given.
    """

    context: TrackingContext
    folder: Path
    entity: str | None = None
    job_type: str | None = None

    @classmethod
    def preflight(cls, settings: Settings) -> tuple[str, str | None]:
        """Returns `online`, `offline` or `disabled`, and a warning where W&B was wanted and cannot be reached."""
        return preflight(settings.wandb)

    @classmethod
    def create(cls, context: TrackingContext) -> Tracker:
        """Returns the tracker of a study, W&B's own variables going before what the study would choose.

        Called by the driver alone, so that the trials on all machines agree.
        """
        if context.mode == DISABLED:
            return NullTracker()
        env = os.environ
        own_folder = env.get("WANDB_DIR")
        tags = (tag.strip()[:64] for tag in (*context.tags, *env.get("WANDB_TAGS", "").split(",")))  # its limit
        applied = replace(
            context,
            project=env.get("WANDB_PROJECT") or re.sub(r"[/\\#?%:]", "-", context.project)[:128],
            tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
            group=(env.get("WANDB_RUN_GROUP") or context.group or context.study)[:128],
        )
        return cls(
            applied,
            folder=Path(own_folder).resolve() / "wandb" if own_folder else context.folder,
            entity=env.get("WANDB_ENTITY") or None,
            job_type=env.get("WANDB_JOB_TYPE") or None,
        )

    @property
    def mode(self) -> str:
        """`online` or `offline`."""
        return self.context.mode

    def open_trial(self, number: int, config: Mapping[str, Any]) -> TrialRun:
        """Opens the run of a trial, or continues it; returns at once."""
        own_id, kind = run_id(self.context.uid, number), self.context.kind
        thread = self._open(own_id, f"{kind}-{number:04d}", kind, config)
        return WandbTrialRun(thread, own_id, source=self.context.lineage.get("search_run_id"))

    def open_study(self, config: Mapping[str, Any], direction: str) -> StudyRun:
        """Opens the run of the study, or continues it; returns at once."""
        (self.folder / OUTAGE).unlink(missing_ok=True)  # what the study met before it was resumed
        uid = self.context.uid
        return WandbStudyRun(self._open(f"{uid}-study", self.context.study, "study", config), uid, direction)

    def notes(self) -> list[str]:
        """Returns that the server was lost, if it was, and the command that uploads what W&B does not have."""
        return [note for note in (outage(self.folder), self.sync_command()) if note]

    def sync_command(self) -> str | None:
        """Returns the one command that uploads everything of the study that W&B does not have; None if it has all."""
        folder, ours = self.folder, f"-{self.context.uid}-*"
        unsent = sorted(path.parent for path in folder.glob(f"run-*{ours}/{UNSENT}"))
        words = [shlex.quote(str(path)) for path in unsent]
        if any(folder.glob(f"offline-run-*{ours}")):
            words = [f"{shlex.quote(str(folder))}/offline-run-*{ours}", *words]
        if not words:
            return None
        return " ".join(["wandb sync", *(["--include-online"] if unsent else []), *words])

    def _open(self, own_id: str, name: str, kind: str, config: Mapping[str, Any]) -> RunThread:
        context = self.context
        init = {
            "id": own_id,
            "name": name,
            "project": context.project,
            "entity": self.entity,
            "group": context.group,
            "job_type": self.job_type or kind,
            "tags": list(context.tags),
            "config": redacted({**config, **context.lineage}),
        }
        return RunThread(self.mode, self.folder, init)
