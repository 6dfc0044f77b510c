"""Everything that can be known before the first epoch, checked together.

`check` either returns a `Plan` that will run, or raises one `UserError` with all problems of settings, space, points,
dataset, weights, resources and storage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from yolotune.config.isolation import isolate
from yolotune.config.points import read_points
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.data.dataset import Dataset
from yolotune.data.doctor import Examination, examine
from yolotune.errors import Problem, UserError
from yolotune.record.folder import new_folder
from yolotune.schedulers import resolve
from yolotune.search.warm_start import Here, Warm, choose_sampler, warm_points
from yolotune.tracking import preflight
from yolotune.training.ultralytics_api import check_events, check_version
from yolotune.training.weights import find_model
from yolotune.tuner.advice import advice, reminders
from yolotune.tuner.cluster import Node, address_of, survey
from yolotune.tuner.plan import Objects, Plan
from yolotune.tuner.resources import share_resources, with_threads
from yolotune.tuner.settings_checks import check_fixed, check_settings
from yolotune.tuner.storage import check_storage, disk_left, disk_needed, existing, share_images

T = TypeVar("T")


class Problems(list[Problem]):
    """What was found to be wrong so far."""

    def collect(self, part: Callable[[], T]) -> T | None:
        """Returns what a check finds; None where it finds problems, which are kept."""
        try:
            return part()
        except UserError as error:
            self.extend(error.problems)
            return None


@dataclass(frozen=True)
class Diagnosis:
    """What there is to say of a study before it starts.

    Attributes:
        examined: Its dataset.
        plan: What would be run; None where something is wrong.
        problems: What is wrong beside the dataset.
    """

    examined: Examination
    plan: Plan | None
    problems: list[Problem]


def diagnose(settings: Settings) -> Diagnosis:
    """Returns what there is to say of a new study, right or wrong.

    Args:
        settings: Of the study.
    """
    isolate()
    examined = _examine(settings)
    try:
        return Diagnosis(examined, check(settings, examined=examined), [])
    except UserError as error:
        return Diagnosis(examined, None, [one for one in error.problems if one not in examined.problems])


def _examine(settings: Settings) -> Examination:
    return examine(settings.data, imgsz=settings.imgsz, allow_bad_labels=settings.allow_bad_labels)


def check(
    settings: Settings,
    folder: Path | None = None,
    *,
    searches: bool = True,
    learns: bool = True,
    objects: Objects | None = None,
    examined: Examination | None = None,
) -> Plan:
    """Returns what is to be run, or raises everything that is wrong with it.

    Args:
        settings: Of the study.
        folder: Of the study that is resumed; None for a new one.
        searches: Whether the space is a user's; otherwise nothing but the seed varies.
        learns: Whether trials learn from those before, so that a few should train at a time.
        objects: What only Python can give to a study.
        examined: Its dataset, where that has been examined already.

    Raises:
        UserError: All problems at once.
    """
    isolate()
    problems = Problems()
    unexpected = [*reminders(settings, folder)]
    settings, objects = resolve(settings), objects or Objects()
    problems += check_settings(settings, objects.sampler) if searches else check_fixed(settings)
    problems += check_events(objects.callbacks)
    examined = examined or _examine(settings)
    problems += examined.problems
    dataset = examined.dataset
    model = problems.collect(lambda: find_model(settings.model))
    tracking = problems.collect(lambda: preflight(settings))
    place = folder or new_folder(settings)
    no_place = check_storage(place, goes_on=folder is not None)
    problems += no_place
    nodes: list[Node] | None = None
    address = address_of(settings.address)
    if address and not no_place:
        surveyed = problems.collect(lambda: survey(address, dataset, model, existing(place)))
        nodes, unfit = surveyed or ([], [])
        problems += unfit
    shared = None
    if nodes is None or nodes:
        shared = problems.collect(lambda: share_resources(settings, nodes, learns=learns))
    needed = 0
    if model and tracking and shared and not no_place:
        needed = disk_needed(settings, model, tracking[0], shared.slots)
        problems += check_storage(place, needed, goes_on=folder is not None)
    points, warm, completed = _initial_points(settings, dataset, model, folder, problems)
    if problems or dataset is None or model is None or shared is None or tracking is None:
        raise UserError(problems)
    settings, chosen = choose_sampler(settings, warm)
    mode, warning = tracking
    left = disk_left(place, needed, goes_on=folder is not None)
    images, too_many = share_images(settings, dataset, left, machines=len(nodes) if nodes else 1)
    notes = [*unexpected, *completed, *advice(settings, dataset), *warm.notes, *chosen]
    notes += filter(None, (too_many, warning, check_version()))
    return Plan(
        settings=settings,
        dataset=dataset,
        model=model,
        points=points,
        warm=warm,
        resources=with_threads(shared, settings, model),
        tracking=mode,
        disk=needed + images,
        images=images,
        notes=notes,
        examined=examined,
        objects=objects,
    )


def _initial_points(
    settings: Settings, dataset: Dataset | None, model: str | None, folder: Path | None, problems: Problems
) -> tuple[list[Point], Warm, list[str]]:
    """Returns the points that are tried first, none twice: the defaults, those of earlier studies, those of files."""
    warm = Warm([], [], [])
    if settings.parsed[2]:
        return [], warm, []
    read = problems.collect(lambda: read_points(settings, dataset.nc if dataset else 1))
    points, wrong, completed = read or ([], [], [])
    problems += wrong
    here = Here(dataset.nc if dataset else 1, dataset.fingerprint if dataset else "", model or settings.model)
    warm = problems.collect(lambda: warm_points(settings, here, folder)) or warm
    points = [*points[:1], *warm.points, *points[1:]]
    return [point for place, point in enumerate(points) if point not in points[:place]], warm, completed
