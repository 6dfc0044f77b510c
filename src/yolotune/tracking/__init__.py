"""Where a study is shown while it runs: Weights & Biases, or nowhere.

A `Tracker` has few methods, and what it shows is a copy of the record. Another one is a new file and a line like the
last ones of this page. `wandb` is imported inside functions alone, so that a study without it never loads it.
"""

from yolotune.tracking.base import (
    StudyRun,
    Tracker,
    TrackerKind,
    TrackingContext,
    TrialResult,
    TrialRun,
    TrialSummary,
    make_tracker,
    preflight,
    register_tracker,
    run_id,
    tracker_names,
)
from yolotune.tracking.none import NullTracker
from yolotune.tracking.wandb_environment import redact, redacted
from yolotune.tracking.wandb_tracker import WandbTracker

__all__ = [
    "NullTracker",
    "StudyRun",
    "Tracker",
    "TrackerKind",
    "TrackingContext",
    "TrialResult",
    "TrialRun",
    "TrialSummary",
    "WandbTracker",
    "make_tracker",
    "preflight",
    "redact",
    "redacted",
    "register_tracker",
    "run_id",
    "tracker_names",
]

register_tracker("wandb", WandbTracker)
register_tracker("none", NullTracker)
