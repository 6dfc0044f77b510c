"""Confirming what a search found: its best points and the defaults, trained again at full length on fresh seeds.

The best of many noisy trials looks better than it is, because it was chosen for its noise too. Trainings that had no
part in the choice tell by how much. They are a study of their own in `confirm/`, with one more argument that varies,
the seed; so everything that holds for a study holds for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yolotune._yaml import write_yaml
from yolotune.config.arguments import ANY_SEED, SEEDS
from yolotune.config.layers import load_settings
from yolotune.config.settings import Settings
from yolotune.config.space import Point
from yolotune.errors import UserError, fail
from yolotune.record.confirmed import CONFIRMED, Confirmed
from yolotune.record.folder import owned
from yolotune.record.provenance import Origin
from yolotune.record.study import SCHEMA, StudyRecord, TrialRecord, best_trials, read_study
from yolotune.record.verdict import FINISHED
from yolotune.record.writer import write_confirmed_best
from yolotune.report import on_test
from yolotune.report.formatting import plural
from yolotune.tuner.advice import advice
from yolotune.tuner.check import check
from yolotune.tuner.events import Listener
from yolotune.tuner.plan import Objects, Plan, hyperparameters
from yolotune.workflows.paired import LEVEL, PairedPoint, best_of, compare, conclusion
from yolotune.workflows.resume import changes, read_search
from yolotune.workflows.running import OBJECT, require_objects, run_plan


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say about the best points of a search.

    Attributes:
        record: Of the trainings, a study in `confirm/`.
        seeds: That every point was trained on.
        points: The defaults first, then by their search value.
        best: What best.yaml holds now; None where no point trained to its end on every seed.
        conclusion: What may be said, in words.
        test: What the best point and the defaults score on the test split, in words; nothing without one.
    """

    record: StudyRecord
    seeds: tuple[int, ...]
    points: tuple[PairedPoint, ...]
    best: Confirmed | None
    conclusion: str
    test: str = ""


def confirm(
    folder: str | Path,
    settings: Settings | None = None,
    listener: Listener | None = None,
    *,
    top: int = 3,
    seeds: int = 3,
    objects: Objects | None = None,
) -> Confirmation:
    """Trains the best points of a search and the defaults on fresh seeds, and compares them.

    It continues where it was; what is trained is not trained again. All points are trained on all seeds, those of
    earlier calls included, so that every difference is a paired one.

    Args:
        folder: Of the search.
        settings: Its settings; resources and W&B may be others than before. None for those it has.
        listener: Who is told what happens.
        top: Points beside the defaults, by their search value; 1 or more.
        seeds: Fresh seeds, the same for every point; 2 or more give an uncertainty.
        objects: What only Python can give.

    Raises:
        UserError: Nothing to confirm, or dataset or settings are others than the search's.
        StudyFailed: No training has a value.
        KeyboardInterrupt: It was stopped; the same call continues.
    """
    search = read_search(folder)
    settings = settings or load_settings(search.folder, {})
    target = search.folder / CONFIRMED.parent
    with owned(search.folder):  # a search that is resumed meanwhile would write best.yaml too
        before = read_study(target) if (target / "study.yaml").exists() else None
        _require_same_search(search, before)
        recorded = before.trials if before else []
        chosen = candidates(search, top, recorded)
        fresh = fresh_seeds(search.settings.seed, seeds, [int(trial.point["seed"]) for trial in recorded])
        wanted: list[Point] = [{**trial.point, "seed": seed} for seed in fresh for trial in chosen]
        ended = [trial.point for trial in recorded if not trial.unfinished]
        if before is None or any(point not in ended for point in wanted):
            others = sum(trial.point not in wanted for trial in recorded)
            plan = _plan(search, settings, wanted, others=others, again=f"--top {top} --seeds {seeds}", objects=objects)
            if before is not None:
                _require_same_settings(before, plan)
            before = run_plan(
                plan,
                listener or Listener(),
                before,
                delivered=lambda record: _delivered(compared(search, record, chosen, fresh), search),
            )
        found = compared(search, before, chosen, fresh)
        _write(search, found)
        if found.best is not None:
            trial = search.trial(found.best.trial)
            arguments = hyperparameters(settings, search.settings.model, trial.point, trial.effective)
            write_confirmed_best(search.folder, search.metric, found.best, arguments)
        return found


def candidates(search: StudyRecord, top: int, recorded: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials whose points are to be trained: the defaults, the best, and those of earlier calls.

    Args:
        search: The search.
        top: How many beside the defaults.
        recorded: Trainings of earlier calls.
    """
    defaults = next((trial for trial in search.trials if trial.number == 0), None)
    if defaults is None:
        raise fail(str(search.folder), "trial 0, Ultralytics' defaults, is missing.", "restore its folder from a copy.")
    ranked = [trial for trial in best_trials(search, len(search.trials)) if trial.point != defaults.point]
    if not ranked:
        what = "no trial beside the defaults has ended with a value, so there is nothing to confirm."
        raise fail(str(search.folder), what, "resume the search first: yolotune resume.")
    known = [_without_seed(trial.point) for trial in recorded]
    later = [trial for trial in ranked[top:] if trial.point in known]
    return [defaults, *ranked[:top], *later]


def fresh_seeds(searched: int, count: int, recorded: Sequence[int]) -> list[int]:
    """Returns the seeds to train on: those after the search's own, and as many as asked for or recorded.

    Args:
        searched: The seed of the search, which chose the points.
        count: How many are asked for.
        recorded: Of earlier calls.
    """
    seeds = list(dict.fromkeys(recorded))
    candidates = ((searched + step) % SEEDS for step in itertools.count(1))
    while len(seeds) < count:
        seed = next(candidates)
        if seed not in seeds:
            seeds.append(seed)
    return seeds


def compared(
    search: StudyRecord, record: StudyRecord, chosen: Sequence[TrialRecord], seeds: Sequence[int]
) -> Confirmation:
    """Returns what the record of the trainings says.

    Args:
        search: The search.
        record: Of the trainings.
        chosen: Trials of the search that were trained again, the defaults first.
        seeds: On which.
    """
    rows = _by_seed(record, chosen, seeds, lambda trial: trial.value)
    points = tuple(compare(trial.number, trial.value, rows[trial.number], rows[0]) for trial in chosen)
    best = best_of(points, search.mode)
    held, said = None, conclusion(points, search.mode)
    if best is not None and best.mean is not None:
        known = search.best.value if search.best and search.best.value is not None else best.mean
        tested = _tested(record, chosen, seeds, best.trial)
        held = Confirmed(best.trial, best.mean, tuple(seeds), known, best.difference, best.uncertainty, said, tested)
    return Confirmation(record, tuple(seeds), points, held, said, held.test if held else "")


def _by_seed(
    record: StudyRecord,
    chosen: Sequence[TrialRecord],
    seeds: Sequence[int],
    value: Callable[[TrialRecord], float | None],
) -> dict[int, list[float | None]]:
    """Returns a value of each training that ended well, by trial of the search, in the order of the seeds."""
    found: dict[tuple[int, int], float | None] = {}
    for trial in record.trials:
        number = next((one.number for one in chosen if one.point == _without_seed(trial.point)), None)
        if number is not None and trial.verdict in FINISHED:
            found[number, int(trial.point["seed"])] = value(trial)
    return {trial.number: [found.get((trial.number, seed)) for seed in seeds] for trial in chosen}


def _delivered(found: Confirmation, search: StudyRecord) -> list[TrialRecord]:
    """Returns the trainings of the best point and of the defaults: those to be scored on the test split."""
    if found.best is None:
        return []
    points = [search.trial(number).point for number in (0, found.best.trial)]
    trials = [trial for trial in found.record.trials if trial.verdict in FINISHED]
    return [trial for trial in trials if _without_seed(trial.point) in points]


def _tested(record: StudyRecord, chosen: Sequence[TrialRecord], seeds: Sequence[int], best: int) -> str:
    """Returns what the best point and the defaults score on the test split, in words; nothing without one."""
    rows = _by_seed(record, chosen, seeds, lambda trial: getattr(on_test.on_test(record, trial), "value", None))
    compared = compare(best, None, rows[best], rows[0])
    if not compared.whole or compared.mean is None:
        return ""
    said = f"On the test split ({on_test.split_in_words(record)}; {on_test.UNSEEN}), {plural(len(seeds), 'seed')}: "
    if best == 0:
        return f"{said}the defaults reach {compared.mean:.3f} on average."
    said += f"trial {best} reaches {compared.mean:.3f} on average"
    if compared.difference is None:
        return f"{said}."
    said += f", {compared.difference:+.3f} to the defaults"
    return f"{said} (± {compared.uncertainty:.3f}, {LEVEL:.0%})." if compared.uncertainty is not None else f"{said}."


def _plan(
    search: StudyRecord, settings: Settings, wanted: list[Point], *, others: int, again: str, objects: Objects | None
) -> Plan:
    """Returns the checked plan of the trainings: the search's settings without its rules, and the seed in the point."""
    target = search.folder / CONFIRMED.parent
    without_rules: dict[str, Any] = {
        "points": [],
        "warm_start": [],
        "scheduler": "none",
        "plateau": None,
        "effort": None,
    }
    if settings.search.startswith(OBJECT):  # its sampler is not needed here
        settings = settings.model_copy(update={"search": "random"})
    require_objects(settings, objects or Objects())
    given = {**settings.model_dump(), **without_rules, "preset": "none", "budget": None}
    given["num_samples"] = len(wanted) + others
    same = Settings(**given)
    plan = check(same, target, learns=False, objects=objects)
    fix = "undo the change: a confirm trains as the search did. For a training with other settings: yolotune retrain."
    changed = changes(search, plan, fix)
    if changed:
        raise UserError(changed)
    given |= {"space": {**settings.space, "seed": ANY_SEED}, "search": "random", "name": f"{settings.name}-confirm"}
    seeds = sorted({int(point["seed"]) for point in wanted})
    what = f"{len(wanted) // len(seeds)} points, the defaults among them, on seeds {', '.join(map(str, seeds))}"
    said = advice(plan.settings, plan.dataset)  # of the space, which is not searched here
    return replace(
        plan,
        settings=Settings(**given),
        points=wanted,
        notes=[note for note in plan.notes if note not in said],
        folder=target,
        origin=Origin("confirm", settings.name, search.uid, search="..", again=again, what=what),
    )


def _require_same_search(search: StudyRecord, before: StudyRecord | None) -> None:
    if before is not None and (before.origin is None or before.origin.uid != search.uid):
        what = "confirms another search."
        raise fail(str(before.folder), what, "move that folder away, then confirm this search.")


def _require_same_settings(before: StudyRecord, plan: Plan) -> None:
    """Refuses to mix trainings of before and after a change of the search itself (`resume --allow-changes`)."""
    changed = changes(before, plan, f"move {before.folder} away: its trainings are no longer comparable.")
    if changed:
        raise UserError(changed)


def _without_seed(point: Point) -> Point:
    return {name: value for name, value in point.items() if name != "seed"}


def _write(search: StudyRecord, found: Confirmation) -> None:
    """Writes confirmed.yaml."""
    best = found.best
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "objective": search.settings.objective,
        "mode": search.mode,
        "level": LEVEL,
        "seeds": list(found.seeds),
        "verdict": found.conclusion,
        "test": found.test or None,
        "points": [
            {
                "trial": point.trial,
                "search_value": point.search_value,
                "values": list(point.values),
                "mean": point.mean,
                "spread": point.spread,
                "difference": point.difference,
                "uncertainty": point.uncertainty,
                "winners_curse": point.curse,
            }
            for point in found.points
        ],
        "best": {
            "trial": best.trial,
            "mean": best.mean,
            "seeds": list(best.seeds),
            "search_best": best.search_best,
        }
        if best
        else None,
    }
    write_yaml(search.folder / CONFIRMED, document, "What fresh seeds say of the best points: docs/confirming.md")
