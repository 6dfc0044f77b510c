"""The sentences of the page: what was found, how sure that is, what it cost. Plain text, escaped where it is put."""

from __future__ import annotations

from yolotune.record.provenance import told_of
from yolotune.record.slots import read_slots
from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report import on_test
from yolotune.report.formatting import duration, label, listed, number, plural
from yolotune.report.outcome import nothing_learned, sentence
from yolotune.report.results import Gain, Results, dataset_count
from yolotune.report.trials import verdict_of

HEADLINES = {
    Gain.NOTHING: "No trial has a value yet.",
    Gain.UNKNOWN: "There is a best point, but nothing to compare it with.",
    Gain.NONE: "The search has not beaten Ultralytics’ defaults.",
    Gain.NOISE: "The best point is not clearly better than Ultralytics’ defaults.",
    Gain.LIKELY: "The best point may be better than Ultralytics’ defaults.",
    Gain.CLEAR: "The best point looks better than Ultralytics’ defaults.",
}


def headline(results: Results) -> str:
    """Returns what was found, in one sentence: `is better` only where fresh seeds have shown it."""
    held = results.proven
    if results.record.learned_nothing:
        return "No trial has learned anything."
    if held is None:
        return HEADLINES[results.kind]
    if held.trial == 0:
        return "On fresh seeds no point has beaten Ultralytics’ defaults."
    if held.better(results.record.mode):
        return f"Trial {held.trial} is better than Ultralytics’ defaults, on fresh seeds too."
    return f"On fresh seeds trial {held.trial} is not clearly better than Ultralytics’ defaults."


def tiles(results: Results) -> list[tuple[str, str, str]]:
    """Returns the few numbers on top: number, what it is, and a remark."""
    record, best = results.record, results.best
    shown = []
    if best and not record.learned_nothing:
        shown.append((number(best.value, 3), label(record.metric), f"trial {best.number}, epoch {best.best_epoch}"))
    held = results.proven
    if held is not None and held.difference is not None and held.uncertainty is not None:
        remark = f"±{number(held.uncertainty, 3)}, {plural(len(held.seeds), 'seed')}"
        shown.append((f"{held.difference:+.3f}".replace("-", "−"), f"trial {held.trial} on fresh seeds", remark))
    elif results.gain is not None and results.kind is not Gain.UNKNOWN and best and best is not results.defaults:
        sign = "+" if record.mode == "max" else "−"
        worth = {Gain.NOISE: "may be noise", Gain.LIKELY: "may be real", Gain.CLEAR: "larger than the noise"}
        remark = f"{worth.get(results.kind, 'nothing')} (±{number(results.noise.level, 3)})"
        shown.append((f"{sign}{number(results.gain, 3)}", "over the defaults", remark))
    tested = on_test.on_test(record, best)
    if tested is not None:
        remark = f"±{number(tested.error, 3)}, {on_test.UNSEEN}"
        shown.append((number(tested.value, 3), f"{label(on_test.compared_by(record)).split(',')[0]}, test", remark))
    if record.trials:
        remark = f"of {results.full_epochs:,}, {results.saved:.0%} saved"
        shown.append((f"{record.epochs_trained:,}", "epochs trained", remark))
        shown.append((f"{len(record.trials):,}", "trials", _verdict_counts(record)))
    return shown


# --- what was found ----------------------------------------------------------------------------------------------


def conclusion(results: Results) -> list[str]:
    """Returns in a few sentences what was gained, from what it began, what it cost, and what has not ended."""
    texts = (
        _gained(results),
        on_test.sentence(results.record, results.best),
        _warm_start(results),
        _cost(results),
        sentence(results.outcome),
        _not_ended(results),
    )
    return [text for text in texts if text]


def _gained(results: Results) -> str:
    best, defaults = results.best, results.defaults
    if results.record.learned_nothing:
        return f"{nothing_learned(results.record)} Nothing can be said of the points yet."
    if best is None or best.value is None:
        return "As soon as a trial has ended with a value, this page says what the search has gained."
    metric = label(results.record.metric)
    first = f"Trial {best.number} reached {metric} {number(best.value, 3)} at epoch {best.best_epoch}"
    if results.kind is Gain.NONE:
        if best is defaults:
            return f"{first}, and it is trial 0: Ultralytics’ defaults, which no point of the search has beaten."
        return f"{first}, no more than trial 0, Ultralytics’ defaults."
    if results.kind is Gain.UNKNOWN or defaults is None or defaults.value is None or results.gain is None:
        return f"{first}. {_no_comparison(defaults)}"
    less = "" if results.record.mode == "max" else ", where less is better"
    return (
        f"{first}{less}; Ultralytics’ defaults, trial 0, reached {number(defaults.value, 3)}: a gain of "
        f"{number(results.gain, 3)}.{_unequal_epochs(best, defaults)}"
    )


def _unequal_epochs(best: TrialRecord, defaults: TrialRecord) -> str:
    """Returns that the compared trials trained for different times, if they did."""
    if len(best.epochs) == len(defaults.epochs):
        return ""
    return (
        f" The comparison is at unequal epochs: trial {best.number} ({verdict_of(best)}) trained "
        f"{plural(len(best.epochs), 'epoch')}, trial 0 ({verdict_of(defaults)}) {len(defaults.epochs):,}."
    )


def _no_comparison(defaults: TrialRecord | None) -> str:
    if defaults is None:
        return "Trial 0, Ultralytics’ defaults, is not in the record, so the gain over them is unknown."
    how = f"ended {defaults.verdict}" if defaults.verdict else "has no verdict yet"
    return (
        f"Trial 0, Ultralytics’ defaults, {how} after {plural(len(defaults.epochs), 'epoch')}, so its value is not "
        "what the defaults reach in full, and the gain over them is unknown."
    )


def _warm_start(results: Results) -> str:
    """Returns which points earlier studies gave, and what that means for the figures."""
    record, best = results.record, results.best
    if not record.warm_from:
        return ""
    here = [str(trial.number) for trial in record.trials if record.known_from(trial.point)]
    tried = f", tried here as trial{'s' if len(here) > 1 else ''} {listed(here)}" if here else ""
    text = f"The search did not begin from nothing: it was given {told_of(record.warm_from)}{tried}"
    if best is not None:
        is_known = "is" if record.known_from(best.point) else "is not"
        text += f" (the best trial, {best.number}, {is_known} one of them)"
    text += ". So these figures say less about the search than those of a study without a warm start."
    if any(one.same_data for one in record.warm_from):
        text += " Points from the same data were chosen on these very validation images, which may flatter them."
    return text


def _cost(results: Results) -> str:
    record = results.record
    if not record.trials:
        return ""
    text = f"{plural(len(record.trials), 'trial')} ({_verdict_counts(record)}) trained "
    text += plural(record.epochs_trained, "epoch")
    text += f" in {duration(results.seconds)} of training" if results.seconds else ""
    if results.full_epochs > record.epochs_trained:
        text += f"; without early stopping it would have been {results.full_epochs:,}, so {results.saved:.0%} was saved"
    return f"{text}.{_slots(record)}"


def _slots(record: StudyRecord) -> str:
    """Returns how many trials trained at the same time at last, and why."""
    changes = read_slots(record.folder)
    if not changes or record.settings.concurrent != "auto":
        return ""
    last = changes[-1]
    return f" {plural(last.open, 'trial')} at a time: {last.why}."


def _verdict_counts(record: StudyRecord) -> str:
    """Returns `14 pruned and 2 completed`."""
    ordered = sorted(record.verdicts.items(), key=lambda item: -item[1])
    return listed([f"{count:,} {verdict}" for verdict, count in ordered])


def _not_ended(results: Results) -> str:
    parts = []
    if results.running:
        parts.append(f"{_trials(results.running)} without a verdict: running now, or the study was killed.")
    if results.interrupted:
        parts.append(f"{_trials(results.interrupted)} interrupted; resume the study to continue.")
    if results.failed:
        parts.append(f"{_trials(results.failed)} without a usable value: see what failed.")
    return " ".join(parts)


def _trials(trials: list[TrialRecord]) -> str:
    numbers = listed([str(trial.number) for trial in trials], 8)
    return f"Trial {numbers} is" if len(trials) == 1 else f"Trials {numbers} are"


# --- how sure that is --------------------------------------------------------------------------------------------


def certainty(results: Results) -> list[str]:
    """Returns what else than the point could have moved the value, and how large the gain is beside that."""
    if results.best is None or results.best.value is None:
        return []
    noise = results.noise
    texts = [f"Every trial was trained once, with seed {results.settings.seed}."]
    if noise.jitter is not None:
        moves = f"In the last third of full trainings the objective moves by {number(noise.jitter, 3)} from one epoch "
        texts.append(f"{moves}to the next (median).")
    else:
        texts.append("No trial was long enough to say how much the objective moves from one epoch to the next.")
    if noise.sampling is not None:
        objects, images = (dataset_count(results.environment, what, "val") for what in ("instances", "images"))
        texts.append(
            f"{plural(objects or 0, 'labelled object')} in {plural(images or 0, 'validation image')} leave a score of "
            f"{number(results.best.value, 2)} uncertain by roughly ±{number(noise.sampling, 3)} (one standard error)."
        )
    texts += [_compared_with_noise(results), _confirmed(results)]
    return [text for text in texts if text]


def _compared_with_noise(results: Results) -> str:
    if results.gain is None or results.kind in (Gain.UNKNOWN, Gain.NONE, Gain.NOTHING):
        return ""
    gain, level = number(results.gain, 3), number(results.noise.level, 3)
    compared = f"Compared with the largest of these, {level}, a gain of {gain}"
    if results.noise.level == results.noise.floor:
        compared = f"Compared with {level}, the least that is taken for a gain, a gain of {gain}"
    tries = sum(trial.value is not None for trial in results.record.trials)
    luck = f"the best of {tries} values is also the luckiest"
    if results.kind is Gain.NOISE:
        return f"{compared} may be noise, and {luck}: confirm it before you rely on it."
    if results.kind is Gain.LIKELY:
        return f"{compared} may be real, and {luck}: confirm it with other seeds."
    return f"{compared} is far more than noise, though {luck}."


def _confirmed(results: Results) -> str:
    """Returns what was found when the best points were trained again on fresh seeds, if they were."""
    confirmed = results.record.confirmed
    if confirmed is None:
        return ""
    searched = results.record.trial(confirmed.trial).value
    said = (
        f"Trained again in full on {plural(len(confirmed.seeds), 'fresh seed')}, trial {confirmed.trial} was the best "
        f"of those compared: {number(confirmed.mean, 3)} on average, where the search had seen {number(searched, 3)}. "
        f"{confirmed.verdict or 'confirm/confirmed.yaml has the comparison with the defaults.'}"
    )
    return f"{said} {confirmed.test}" if confirmed.test else said
