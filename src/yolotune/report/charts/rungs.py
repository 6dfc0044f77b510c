"""Rungs as columns of ranks: which trials met there, which were cut, and which went on to the next one."""

from __future__ import annotations

from typing import Any

from yolotune.record.study import TrialRecord
from yolotune.record.verdict import Verdict
from yolotune.report.chart import Chart
from yolotune.report.formatting import number, plural, wrapped
from yolotune.report.results import Results
from yolotune.report.rungs import Rung
from yolotune.report.style import FAINT, Figure, Trace, figure, highlights, marker, points, ring
from yolotune.report.trials import drawn_trials

#: Rank of a trial at a rung, by place of the rung and number of the trial.
Ranks = dict[tuple[int, int], int]


def rungs(results: Results) -> Chart | None:
    """Returns the rungs that trials have reached; None for a scheduler without rungs."""
    found = results.rungs
    if not found:
        return None
    drawn = {trial.number: trial for trial in drawn_trials(results.record)}
    ranks = {(place, trial): at for place, rung in enumerate(found) for at, trial in enumerate(rung.scores, start=1)}
    traces = [_paths(found, ranks, drawn), *_trials(found, ranks, drawn)]
    for one in highlights(list(drawn.values()), results.best, results.defaults):
        traces += [ring(place, rank, one) for (place, trial), rank in ranks.items() if trial == one.trial.number]
    alt = " ".join(
        f"At epoch {rung.epoch}{f' of {rung.group} {rung.bracket + 1}' if found[-1].bracket else ''} "
        f"{plural(len(rung.scores), 'trial')} met and {len(rung.cut)} were cut."
        for rung in found
    )
    return Chart("rungs", alt, _figure(found, traces))


def _paths(found: list[Rung], ranks: Ranks, drawn: dict[int, TrialRecord]) -> Trace:
    """Returns a line for each trial from rung to rung."""
    x: list[int | None] = []
    y: list[int | None] = []
    for (place, trial), rank in ranks.items():
        following = ranks.get((place + 1, trial))
        if trial in drawn and following is not None and found[place + 1].bracket == found[place].bracket:
            x += [place, place + 1, None]
            y += [rank, following, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": FAINT, "width": 1},
        "hoverinfo": "skip",
    }


def _trials(found: list[Rung], ranks: Ranks, drawn: dict[int, TrialRecord]) -> list[Trace]:
    """Returns a mark for each trial at each rung; those of trials that were cut there are crosses."""
    traces = []
    for name, is_cut, verdict in (("went on", False, Verdict.COMPLETED), ("cut here", True, Verdict.PRUNED)):
        at = [key for key in ranks if key[1] in drawn and (key[1] in found[key[0]].cut) == is_cut]
        places = [(place, ranks[place, trial]) for place, trial in at]
        hover = [_hover(found[place], drawn[trial], ranks[place, trial]) for place, trial in at]
        traces.append(points(places, hover, marker(verdict, 9), name))
    return traces


def _hover(rung: Rung, trial: TrialRecord, rank: int) -> str:
    is_cut = trial.number in rung.cut
    then = "cut here" if is_cut else "waits" if rung.waits else "went on"
    text = f"trial {trial.number}: {number(rung.scores[trial.number])} at epoch {rung.epoch}<br>"
    text += f"rank {rank} of {len(rung.scores)}, {then}"
    return f"{text}<br>{wrapped(trial.ending.reason)}" if is_cut and trial.ending else text


def _figure(found: list[Rung], traces: list[Trace]) -> Figure:
    most = max(len(rung.scores) for rung in found)
    edge = max(0.8, 0.03 * most)
    x: dict[str, Any] = {
        "title": "rung",
        "tickvals": list(range(len(found))),
        "ticktext": [
            f"epoch {rung.epoch}" + (f"<br>{rung.group} {rung.bracket + 1}" if found[-1].bracket else "")
            for rung in found
        ],
        "range": [-0.5, len(found) - 0.5],
        "showgrid": False,
    }
    y = {"title": "rank among trials at the rung", "range": [most + edge, 1 - edge], "showgrid": False}
    return figure(traces, x=x, y=y, height=min(560, max(260, 100 + 17 * most)))
