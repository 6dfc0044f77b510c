"""What the sections below the verdict say before their charts. Plain text, escaped where it is put."""

from __future__ import annotations

from yolotune.config.scheduling import NoScheduler
from yolotune.metrics import LEAST_F1, overfitting_level
from yolotune.record.study import StudyRecord
from yolotune.report.formatting import listed, plural
from yolotune.report.importance import ENOUGH
from yolotune.report.results import Results
from yolotune.report.rungs import first_rung
from yolotune.report.trials import SHOWN, TRAINED_IN_FULL, level_counts


def left_out(record: StudyRecord) -> str:
    """Returns which trials the charts leave out; empty where they show all."""
    if len(record.trials) <= SHOWN:
        return ""
    return (
        f"Drawn are {SHOWN} of {len(record.trials):,} trials: trial 0, the best {SHOWN // 2}, and the rest evenly over "
        "the study. The numbers in words, and the table, count all of them."
    )


def about_rungs(results: Results) -> str:
    """Returns how trials were compared with each other while they trained."""
    scheduler, found = results.settings.scheduler, results.rungs
    if isinstance(scheduler, NoScheduler):
        return "No scheduler: no trial was compared with others while it trained."
    first = first_rung(results.record)
    if first is None:
        return (
            f"The scheduler {scheduler.name} has no rungs to show. Why it ended a trial stands in the table of trials."
        )
    if not found:
        return f"No trial has reached a rung yet; the first is at epoch {first}."
    cut, rungs = plural(sum(len(rung.cut) for rung in found), "trial"), plural(len(found), "rung")
    marks = "Crosses were cut; lines follow those that continued."
    if found[0].group == "batch":
        count = len({rung.bracket for rung in found})
        batches = "1 batch" if count == 1 else f"{count} batches"
        return (
            f"Halving cut {cut} at {rungs} of {batches}. At a rung a batch waits until all its trials are there, and "
            f"the best of them continue. {marks}"
        )
    return (
        f"ASHA compared trials at {rungs} and cut {cut}. A trial is compared with those that reached the rung before "
        f"it, so an early one may pass with a rank at which a later one is cut. {marks}"
    )


def about_importance(results: Results) -> str:
    """Returns what the importances are worth, or why there are none."""
    count, found = len(results.finished), results.importance
    if found is None:
        if count < ENOUGH:
            return (
                f"{plural(count, 'trial')} finished with a value. With fewer than {ENOUGH}, importance means nothing "
                "yet, so none is shown."
            )
        return "There is no importance to show: too few trials with points in one space, or all with the same value."
    strong = found.strong
    stands = f"{listed(strong, 6)} {'stands' if len(strong) == 1 else 'stand'} out" if strong else "none stands out"
    names = plural(len(found.shares), "hyperparameter")
    text = (
        f"PED-ANOVA asks where the best trials lie and the others do not. Of {names}, {stands} from chance: from what "
        f"the strongest reaches when values are shuffled among the trials. It rests on {plural(found.trials, 'trial')} "
        f"for {names}"
    )
    text += "; take it as a hint" if found.trials < 5 * len(found.shares) else ""
    text += f", taken evenly over {count:,}" if found.trials < count else ""
    return text + (f"; {found.pruned} of them count with the value at which they were pruned." if found.pruned else ".")


def about_overfitting(results: Results) -> str:
    """Returns how many trials overfit, and how far the best one does."""
    gaps, lost = results.gaps, _learned_nothing(results.unlearned)
    if not gaps:
        return lost or "No trial reported F1 on both splits, so nothing can be said about overfitting."
    text = f"Train F1 less val F1 at each trial’s best epoch: {listed(level_counts(gaps))}, by the guide’s bands."
    if results.best and results.best.number in gaps:
        gap = gaps[results.best.number]
        text += f" The best trial’s gap is {gap:+.3f}: {overfitting_level(gap)}."
    short = sum(trial.number in gaps and trial.verdict not in TRAINED_IN_FULL for trial in results.record.trials)
    if short:
        text += f" {short:,} of these trials did not train to the end, and had little time to overfit."
    return f"{text} {lost}" if lost else text


def _learned_nothing(trials: list[int]) -> str:
    """Returns which trials are left out because they learned nothing."""
    if not trials:
        return ""
    numbers = listed([str(number) for number in trials], 8)
    subject = f"Trial {numbers}" if len(trials) == 1 else f"Trials {numbers}"
    return f"{subject} learned nothing (F1 below {LEAST_F1} on train and val), which is no sign of good training."
