"""The rungs of ASHA or halving, rebuilt from the record: who met whom, and who was cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from yolotune.config.settings import Settings
from yolotune.record.study import StudyRecord, Verdict
from yolotune.report.charts import FAINT, Chart, figure, marker, number, plural, ring, rings, shown_trials, wrapped
from yolotune.report.facts import Facts
from yolotune.report.status import planned_trials
from yolotune.schedulers.asha import Halving
from yolotune.schedulers.halving import SuccessiveHalving


@dataclass(frozen=True)
class Rung:
    """Who met at a rung.

    Attributes:
        bracket: From 0; under halving the batch.
        epoch: Its milestone.
        scores: The objective there by trial number, best first by what the rung compared.
        cut: Who was cut there.
        group: What the user calls a bracket: `bracket` or `batch`.
        waits: Whether others are still to come, so that nobody was cut yet (halving).
    """

    bracket: int
    epoch: int
    scores: dict[int, float]
    cut: frozenset[int]
    group: str = "bracket"
    waits: bool = False


def rungs(study: StudyRecord, settings: Settings) -> list[Rung]:
    """Returns all rungs that a trial reached, rebuilt from the recorded epochs; none without early stopping."""
    if settings.asha is None:
        return []
    if settings.scheduler == "halving":
        return _halving_rungs(study, settings)
    rules = Halving(settings)
    rules.rebuild((trial.number, trial.point, trial.epochs) for trial in study.trials)
    pruned = {trial.number for trial in study.trials if trial.verdict is Verdict.PRUNED}
    sign = 1.0 if study.mode == "max" else -1.0
    found = []
    for place, bracket in enumerate(rules.brackets):
        higher: set[int] = set()
        for milestone in bracket.milestones:  # descending: a pruned trial was cut at the highest that it reached
            scores, stood = bracket.scores(milestone), bracket.recorded[milestone]
            best_first = sorted(scores, key=lambda name: -scores[name])
            cut = frozenset(scores.keys() & pruned - higher)
            higher |= scores.keys()
            if scores:
                found.append(Rung(place, milestone, {name: sign * stood[name][0] for name in best_first}, cut))
    return sorted(found, key=lambda rung: (rung.bracket, rung.epoch))


def _halving_rungs(study: StudyRecord, settings: Settings) -> list[Rung]:
    """Returns the rungs of every batch; those that died on the way to one have no score there and are left out."""
    rules = SuccessiveHalving(settings)
    rules.rebuild(study.trials)
    planned = planned_trials(settings.num_samples, settings.domains)
    if planned < settings.num_samples:
        rules.no_more(max(len(study.trials), planned))
    pruned = {trial.number for trial in study.trials if trial.verdict is Verdict.PRUNED}
    sign = 1.0 if study.mode == "max" else -1.0
    found = []
    for meeting in rules.all_meetings():
        scores = {name: sign * score for name, score in meeting.scores.items() if score > -math.inf}
        cut = frozenset() if meeting.missing else frozenset(scores.keys() & pruned - set(meeting.kept))
        if scores:
            waits = bool(meeting.missing)
            found.append(Rung(meeting.batch, meeting.milestone, scores, cut, "batch", waits))
    return found


def rung_chart(facts: Facts, found: list[Rung]) -> Chart | None:
    """Returns the rungs as columns of ranks, with a line for each trial that went on."""
    if not found:
        return None
    trials = {trial.number: trial for trial in facts.study.trials}
    shown = {trial.number for trial in shown_trials(facts.study)}
    lines: dict[str, list[Any]] = {"x": [], "y": []}
    groups: dict[str, list[tuple[int, int, str]]] = {"went on": [], "cut here": []}
    rank = {(place, name): at + 1 for place, rung in enumerate(found) for at, name in enumerate(rung.scores)}
    for place, rung in enumerate(found):
        for name, score in rung.scores.items():
            if name not in shown:
                continue
            was_cut = name in rung.cut
            text = f"trial {name}: {number(score)} at epoch {rung.epoch}<br>rank {rank[place, name]} of "
            text += f"{len(rung.scores)}, {'cut here' if was_cut else 'waits' if rung.waits else 'went on'}"
            ending = trials[name].ending
            if was_cut and ending:
                text += f"<br>{wrapped(ending.reason)}"
            groups["cut here" if was_cut else "went on"].append((place, rank[place, name], text))
            if (place + 1, name) in rank and found[place + 1].bracket == rung.bracket:
                lines["x"] += [place, place + 1, None]
                lines["y"] += [rank[place, name], rank[place + 1, name], None]
    line = {"color": FAINT, "width": 1}
    traces: list[dict[str, Any]] = [{"type": "scatter", "mode": "lines", **lines, "line": line, "hoverinfo": "skip"}]
    marks = {"went on": marker(Verdict.COMPLETED, 9), "cut here": marker(Verdict.PRUNED, 9)}
    for words, group in groups.items():
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": [x for x, _, _ in group],
                "y": [y for _, y, _ in group],
                "text": [text for _, _, text in group],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": marks[words],
            }
        )
    for trial, words, color in rings(facts.best, facts.defaults):
        traces += [
            ring(place, rank[place, trial.number], words, color)
            for place in range(len(found))
            if (place, trial.number) in rank
        ]
    most = max(len(rung.scores) for rung in found)
    edge = max(0.8, 0.03 * most)
    x = {
        "title": "rung",
        "tickvals": list(range(len(found))),
        "ticktext": [_rung_name(rung, found) for rung in found],
        "range": [-0.5, len(found) - 0.5],
        "showgrid": False,
    }
    y = {"title": "rank among those who met there", "range": [most + edge, 1 - edge], "showgrid": False}
    alt = " ".join(
        f"At epoch {rung.epoch}{f' of {rung.group} {rung.bracket + 1}' if found[-1].bracket else ''} "
        f"{plural(len(rung.scores), 'trial')} met and {len(rung.cut)} were cut."
        for rung in found
    )
    return Chart("rungs", "", alt, figure(traces, x=x, y=y, height=min(560, max(260, 100 + 17 * most))))


def _rung_name(rung: Rung, found: list[Rung]) -> str:
    bracket = f"<br>{rung.group} {rung.bracket + 1}" if found[-1].bracket else ""
    return f"epoch {rung.epoch}{bracket}"
