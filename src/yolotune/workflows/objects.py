"""Objects that only Python can give to a study: recorded by name, and needed again when it is resumed."""

from __future__ import annotations

from typing import Any

from yolotune.config.settings import Settings, is_known
from yolotune.errors import Problem, UserError
from yolotune.metrics import COMPUTED
from yolotune.tuner.plan import Objects

#: In front of the name of an object, where a setting holds the name of what was given as one.
OBJECT = "object:"


def name_of(given: Any) -> str:
    """Returns the name by which the record knows an object: that of a function, or of the class of anything else."""
    return str(getattr(given, "__name__", type(given).__name__))


def require_objects(settings: Settings, objects: Objects) -> None:
    """Refuses to resume a study without the objects that it began with.

    Raises:
        UserError: A sampler, an objective or a scheduler is missing.
    """
    problems = []
    fix = "resume it in Python: yolotune.load(folder).resume({}=...)."
    if settings.search.startswith(OBJECT) and objects.sampler is None:
        what = f"the study was searched with the object {settings.search.removeprefix(OBJECT)}, which is not recorded."
        problems.append(Problem("search", what, fix.format("sampler")))
    if settings.objective.startswith(COMPUTED) and objects.objective is None:
        what = f"the study's objective is the function {settings.objective.removeprefix(COMPUTED)}, not recorded."
        problems.append(Problem("objective", what, fix.format("objective")))
    if not is_known(settings.scheduler):
        what = f"no scheduler is registered as {settings.scheduler.name!r} here."
        problems.append(Problem("scheduler", what, "call yolotune.schedulers.register_scheduler(...) first."))
    if problems:
        raise UserError(problems)
