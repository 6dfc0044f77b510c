"""What the history proposes to a new study: the best points of the nearest earlier ones.

They come from at most three studies, nearest first, best points first, and none twice or nearly so. All of it is prior
knowledge: what a study reaches with it says less about its search than what it reaches without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from yolotune.history import Found, Remembered, read_history
from yolotune.prior import Provenance, Source, fit, told_of
from yolotune.similarity import NEAR, Task, differences, distance, same_data
from yolotune.space import Choice, Domain, Point, RandInt, Space, Uniform
from yolotune.study import Study

#: Studies of the history that are asked, the nearest.
STUDIES = 3
#: The second best point of a study comes before the best one of another that is further away by this; and so on.
RANK_STEP = 0.25
#: Points nearer than this say the same: a quarter of the range of one hyperparameter, or a tenth of six.
APART = 0.25


def propose(study: Study, task: Task, default: Point) -> tuple[list[Source], list[str]]:
    """Returns the points that the history has for a study, in the order in which to try them, and what to say of it.

    Args:
        study: The study.
        task: What it trains on, and how.
        default: Its default point, which is tried in any case.
    """
    candidates, notes = _candidates(study, task)
    sources = list(_diverse(candidates, study, default))
    if sources:
        what = "is" if len(sources) == 1 else "are"
        told = told_of([source.provenance for source in sources])
        after = "the defaults and the points given" if study.points else "the defaults"
        notes.append(f"history: {told} {what} tried after {after}; off with --no-history")
    elif candidates:
        near = " and ".join(dict.fromkeys(one.provenance.study for one in candidates))
        notes.append(f"history: {near} has nothing to add: points much like the defaults, or of another optimizer")
    return sources, notes


def _candidates(study: Study, task: Task) -> tuple[list[Source], list[str]]:
    """Returns points of the nearest studies of the history, the most promising first, and what there is to say."""
    studies, notes = read_history()
    asked = [
        (distance(task, one.task), -place, one)
        for place, one in enumerate(studies)  # of two that are as near, the newer
        if one.points and one.mode == study.direction
    ]
    asked.sort(key=lambda item: item[:2])
    near = [(apart, one) for apart, _, one in asked if apart < NEAR][:STUDIES]
    if asked and not near:
        apart, _, nearest = asked[0]
        why = ", ".join(part.words for part in differences(task, nearest.task)[:3])
        said = f"the nearest of {len(asked)}, {nearest.name}, is {apart:.1f} away, {NEAR:g} is too far ({why})"
        notes.append(f"history: no earlier study is near enough to propose a point: {said}")
    ranked = [
        (apart + RANK_STEP * rank, place, _source(one, found, task))
        for place, (apart, one) in enumerate(near)
        for rank, found in enumerate(one.points)
    ]
    return [source for _, _, source in sorted(ranked, key=lambda item: item[:2])], notes


def _source(study: Remembered, found: Found, task: Task) -> Source:
    value = found.value if found.confirmed is None else found.confirmed
    provenance = Provenance(study.name, study.folder, found.trial, value, "history", same_data(task, study.task))
    trained = {**study.fixed, **found.point, **found.effective}
    return Source(f"trial {found.trial} of {study.name}", found.point, trained, provenance)


def _diverse(candidates: Iterable[Source], study: Study, default: Point) -> Iterator[Source]:
    """Yields `study.top` candidates at most that can be trained here and say something new, in their order."""
    chosen = [default]
    for source in candidates:
        if len(chosen) > study.top:
            return
        point = fit(source, study, default)[0]
        if _same_optimizer(source, study) and all(gap(point, other, study.domains) >= APART for other in chosen):
            chosen.append(point)
            yield source


def _same_optimizer(source: Source, study: Study) -> bool:
    """Whether this study can train with the optimizer of before: its learning rates mean nothing to another one."""
    was, domain = source.trained.get("optimizer"), study.domains.get("optimizer")
    known = domain.ends() if domain else (study.fixed.get("optimizer"),)
    return was is None or str(was).lower() in (str(name).lower() for name in known)


def gap(one: Point, other: Point, space: Space) -> float:
    """Returns how far two points are apart, 0 and up: the length of the way between them, each range taken as 1.

    Not its mean over the hyperparameters: two points that differ in the learning rate alone differ, however many
    others there are.
    """
    steps = (abs(_place(one[name], domain) - _place(other[name], domain)) for name, domain in space.items())
    return math.hypot(*(min(1.0, step) for step in steps))


def _place(value: Any, domain: Domain) -> float:
    """Returns where a value lies in its range, 0..1; any two options of a choice are as far apart as can be."""
    if isinstance(domain, Choice):
        return float(domain.options.index(value))
    low, high = (domain.low, max(domain.low + 1, domain.high - 1)) if isinstance(domain, RandInt) else domain.ends()
    if isinstance(domain, Uniform) and domain.log:
        value, low, high = math.log(value), math.log(float(low)), math.log(float(high))
    return (float(value) - float(low)) / (float(high) - float(low))
