"""Early stopping as plain code: schedulers that compare trials, the plateau rule, and what a study will cost.

`base.py` says what a scheduler is. `register_scheduler` adds another one, in the way of the lines at the end.
"""

from yolotune.config.scheduling import AshaSettings, HalvingSettings, NoScheduler
from yolotune.schedulers.asha import Asha
from yolotune.schedulers.base import (
    CONTINUE,
    PAUSE,
    Action,
    Decision,
    Fifo,
    PausingScheduler,
    Report,
    Scheduler,
    Turn,
    make_scheduler,
    register_scheduler,
    stop,
)
from yolotune.schedulers.forecast import Forecast, forecast, planned_trials, resolve, trials_for
from yolotune.schedulers.halving import SuccessiveHalving
from yolotune.schedulers.plateau import PlateauRule

__all__ = [
    "CONTINUE",
    "PAUSE",
    "Action",
    "Asha",
    "Decision",
    "Forecast",
    "PausingScheduler",
    "PlateauRule",
    "Report",
    "Scheduler",
    "SuccessiveHalving",
    "Turn",
    "forecast",
    "make_scheduler",
    "planned_trials",
    "register_scheduler",
    "resolve",
    "stop",
    "trials_for",
]

register_scheduler(NoScheduler, Fifo)
register_scheduler(AshaSettings, Asha)
register_scheduler(HalvingSettings, SuccessiveHalving)
