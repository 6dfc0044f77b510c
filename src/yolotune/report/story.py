"""The sentences of a report: the verdict in words, and what each section shows. Plain text, escaped where it is put."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolotune.record.study import StudyRecord, TrialRecord
from yolotune.report.charts import label, listed, number, plural
from yolotune.report.facts import IN_FULL, Facts, Gain, labelled
from yolotune.report.influence import ENOUGH, Influence
from yolotune.report.ladder import Rung
from yolotune.report.outcome import duration, sentence
from yolotune.search.provenance import known_from, recorded_provenance, told_of
from yolotune.tracking.wandb import LEVELS, overfitting_level

HEADLINES = {
    Gain.NOTHING: "No trial has a value yet.",
    Gain.UNKNOWN: "There is a best point, but nothing to hold it against.",
    Gain.NONE: "The search has not beaten Ultralytics’ defaults.",
    Gain.NOISE: "The best point is not clearly better than Ultralytics’ defaults.",
    Gain.LIKELY: "The best point is probably better than Ultralytics’ defaults.",
    Gain.CLEAR: "The best point is better than Ultralytics’ defaults.",
}


@dataclass(frozen=True)
class Step:
    """Something to do next: why, and what to type."""

    why: str
    command: str


def verdict(facts: Facts) -> list[str]:
    """Returns the verdict in a few sentences: what was won, what it cost and was to cost, what is open."""
    texts = (_won(facts), _prior(facts), _spent(facts), sentence(facts.outcome), _open(facts))
    return [text for text in texts if text]


def _won(facts: Facts) -> str:
    best, zero = facts.best, facts.defaults
    if best is None or best.value is None:
        return "As soon as a trial has ended with a value, this page says what the search has won."
    name = label(facts.study.metric)
    first = f"Trial {best.number} reached {name} {number(best.value, 3)} at epoch {best.best_epoch}"
    if facts.kind is Gain.NONE:
        if best is zero:
            return f"{first}, and it is trial 0: Ultralytics’ defaults, which no point of the search has beaten."
        return f"{first}, no more than trial 0, Ultralytics’ defaults."
    if facts.kind is Gain.UNKNOWN or zero is None or zero.value is None or facts.gain is None:
        return f"{first}. {_no_comparison(zero)}"
    less = "" if facts.sign > 0 else ", where less is better"
    return (
        f"{first}{less}; Ultralytics’ defaults, trial 0, reached {number(zero.value, 3)}: a gain of "
        f"{number(facts.gain, 3)}."
    )


def _no_comparison(zero: TrialRecord | None) -> str:
    if zero is None:
        return "Trial 0, Ultralytics’ defaults, is not in the record, so what was won over them is unknown."
    how = f"ended {zero.verdict}" if zero.verdict else "has no verdict yet"
    return (
        f"Trial 0, Ultralytics’ defaults, {how} after {plural(len(zero.epochs), 'epoch')}, so its value is not what "
        "the defaults reach in full, and what was won over them is unknown."
    )


def _prior(facts: Facts) -> str:
    """Returns what the study knew before its first epoch, and what that means for its figures."""
    study, best = facts.study, facts.best
    provenance = recorded_provenance(study.settings)
    if not provenance:
        return ""
    here = [str(trial.number) for trial in study.trials if known_from(trial.point, study.settings)]
    tried = f", tried here as trial{'s' if len(here) > 1 else ''} {listed(here)}" if here else ""
    text = f"The search did not begin from nothing: it was given {told_of(provenance)}{tried}. That is prior knowledge"
    if best is not None:
        known = "is" if known_from(best.point, study.settings) else "is not"
        text += f" (the best trial, {best.number}, {known} one of them)"
    text += ", and these figures say less about the search than those of one that began without."
    if any(one.same_data for one in provenance):
        text += " Points from the same data were chosen on these very validation images and may flatter."
    return text


def _spent(facts: Facts) -> str:
    study = facts.study
    if not study.trials:
        return ""
    text = f"{plural(len(study.trials), 'trial')} ({_counts(study)}) trained {plural(study.epochs_trained, 'epoch')}"
    text += f" in {duration(facts.seconds)} of training" if facts.seconds else ""
    if facts.full_epochs > study.epochs_trained:
        text += f"; all of them in full would have been {facts.full_epochs:,}, so {facts.saved:.0%} was saved"
    return text + "."


def _counts(study: StudyRecord) -> str:
    """Returns `14 pruned and 2 completed`."""
    return listed([f"{count:,} {word}" for word, count in sorted(study.verdicts.items(), key=lambda item: -item[1])])


def _open(facts: Facts) -> str:
    parts = []
    if facts.running:
        parts.append(f"{_trials(facts.running)} without a verdict: running now, or the study was killed.")
    if facts.interrupted:
        parts.append(f"{_trials(facts.interrupted)} interrupted, to be gone on with.")
    if facts.failed:
        parts.append(f"{_trials(facts.failed)} broken: see what failed.")
    return " ".join(parts)


def _trials(trials: list[TrialRecord]) -> str:
    numbers = listed([str(trial.number) for trial in trials], 8)
    return f"Trial {numbers} is" if len(trials) == 1 else f"Trials {numbers} are"


def certainty(facts: Facts) -> list[str]:
    """Returns how sure the verdict is: what else than the point could have moved the value."""
    if facts.best is None or facts.best.value is None:
        return []
    noise, study = facts.noise, facts.study
    texts = [f"Every trial was trained once, with seed {study.settings.get('seed', 'unknown')}."]
    objects, images = (labelled(facts.environment, what, "val") for what in ("instances", "images"))
    if noise.jitter is not None:
        moves = f"In the last third of the full trials the objective moves by {number(noise.jitter, 3)} from one epoch "
        texts.append(f"{moves}to the next (median).")
    else:
        texts.append("No trial was long enough to say how much the objective moves from one epoch to the next.")
    if noise.sampling is not None:
        texts.append(
            f"{plural(objects or 0, 'labelled object')} in {plural(images or 0, 'validation image')} leave a score of "
            f"{number(facts.best.value, 2)} uncertain by roughly ±{number(noise.sampling, 3)} (one standard error)."
        )
    texts += [_held_against(facts), _confirmed(facts)]
    return [text for text in texts if text]


def _confirmed(facts: Facts) -> str:
    """Returns what training the best points again on fresh seeds has found, if it was done."""
    confirmed, study = facts.study.confirmed, facts.study
    if confirmed is None:
        return ""
    searched = study.trial(confirmed.trial).value
    return (
        f"Trained again in full on {plural(len(confirmed.seeds), 'fresh seed')}, trial {confirmed.trial} was the best "
        f"of those compared: {number(confirmed.mean, 3)} on average, where the search had seen {number(searched, 3)}. "
        "confirm/confirmed.yaml has the comparison with the defaults."
    )


def _held_against(facts: Facts) -> str:
    gain, level = facts.gain, facts.noise.level
    tries = len([trial for trial in facts.study.trials if trial.value is not None])
    if gain is None or facts.kind in (Gain.UNKNOWN, Gain.NONE, Gain.NOTHING):
        return ""
    held = f"Held against the largest of these, {number(level, 3)}, "
    if level == facts.noise.floor:
        held = f"Held against {number(level, 3)}, the least that is taken for a gain, "
    luck = f"and the best of {tries} values is also the luckiest"
    if facts.kind is Gain.NOISE:
        return f"{held}a gain of {number(gain, 3)} may be noise, {luck}: confirm it before you rely on it."
    if facts.kind is Gain.LIKELY:
        return f"{held}a gain of {number(gain, 3)} is probably real, {luck}: confirm it with other seeds."
    return f"{held}a gain of {number(gain, 3)} is far more than noise, though {luck.removeprefix('and ')}."


def next_steps(facts: Facts) -> list[Step]:
    """Returns what to type next, most useful first."""
    folder = shlex.quote(str(facts.study.folder))
    steps = []
    if facts.running or facts.interrupted:
        steps.append(Step("Go on with what has not ended", f"yolotune resume {folder}"))
    best = facts.best
    if best is None:
        return steps
    cfg, data = shlex.quote(str(facts.study.folder / "best.yaml")), shlex.quote(data_path(facts))
    train = f"yolo segment train cfg={cfg} data={data}"
    if facts.kind in (Gain.NOISE, Gain.NONE, Gain.UNKNOWN) and not steps:
        more = 2 * len(facts.study.trials)
        command = f"yolotune resume {folder} --num-samples {more}"
        steps.append(Step("Search on: more trials, nothing is repeated", command))
    if best.number and facts.study.confirmed is None:
        command = f"yolotune confirm {folder} --top 3 --seeds 3"
        steps.append(Step("Confirm: the best points and the defaults, in full, on fresh seeds", command))
    steps.append(Step("Train the final model", f"yolotune retrain {folder}"))
    steps.append(Step("or with Ultralytics alone", train))
    return steps


def data_path(facts: Facts) -> str:
    """Returns the dataset's data.yaml: the absolute path that was found, or what the settings say."""
    found = (facts.environment.get("dataset") or {}).get("yaml") or facts.study.settings.get("data") or "data.yaml"
    return str(found)


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """Returns the few numbers on top: number, what it is, and what it was held against."""
    study, best = facts.study, facts.best
    shown = []
    if best:
        shown.append((number(best.value, 3), label(study.metric), f"trial {best.number}, epoch {best.best_epoch}"))
    if facts.gain is not None and facts.kind is not Gain.UNKNOWN and best and best is not facts.defaults:
        sign = "+" if facts.sign > 0 else "−"
        unsure = {Gain.NOISE: "may be noise", Gain.LIKELY: "probably real", Gain.CLEAR: "beyond the noise"}
        held = f"{unsure.get(facts.kind, 'nothing')} (±{number(facts.noise.level, 3)})"
        shown.append((f"{sign}{number(facts.gain, 3)}", "over the defaults", held))
    if study.trials:
        saved = f"of {facts.full_epochs:,}, {facts.saved:.0%} saved"
        shown.append((f"{study.epochs_trained:,}", "epochs trained", saved))
        shown.append((f"{len(study.trials):,}", "trials", _counts(study)))
    return shown


def rung_words(found: list[Rung]) -> str:
    """Returns one sentence on the rungs."""
    cut = sum(len(rung.cut) for rung in found)
    if found[0].group == "batch":
        count = len({rung.bracket for rung in found})
        batches = "1 batch" if count == 1 else f"{count} batches"
        return (
            f"Halving cut {plural(cut, 'trial')} at {plural(len(found), 'rung')} of {batches}. At a rung a batch waits "
            "until all its trials are there, and the best of them go on."
        )
    return (
        f"ASHA let trials meet at {plural(len(found), 'rung')} and cut {plural(cut, 'trial')}. A trial is held against "
        "those that reached the rung before it, so an early one may pass with a rank at which a later one is cut."
    )


def influence_words(facts: Facts, found: Influence | None) -> str:
    """Returns what the importances are worth, also when there are none."""
    count = len(facts.finished)
    if found is None:
        if count < ENOUGH:
            return (
                f"{plural(count, 'trial')} finished with a value. With fewer than {ENOUGH}, importance means nothing "
                "yet, so none is shown."
            )
        return "There is no importance to show: too few trials with points in one space, or all with the same value."
    strong = found.strong
    stands = f"{listed(strong, 6)} {'stands' if len(strong) == 1 else 'stand'} out" if strong else "none stands out"
    text = (
        f"PED-ANOVA asks where the best trials lie and the others do not. Of {len(found.shares)} hyperparameters, "
        f"{stands} from chance: from what the strongest reaches when values are shuffled among the trials. "
    )
    few = f"{plural(found.trials, 'trial')} for {plural(len(found.shares), 'hyperparameter')}"
    text += f"It rests on {few}" + ("; take it as a hint" if found.trials < 5 * len(found.shares) else "")
    if found.trials < count:
        text += f", taken evenly over {count:,}"
    return text + (f"; {found.cut} of them count with the value at which they were cut." if found.cut else ".")


def overfitting_words(facts: Facts, gaps: dict[int, float]) -> str:
    """Returns how the trials overfit, and the best of them."""
    if not gaps:
        return "No trial reported F1 on both splits, so nothing can be said about overfitting."
    counts = [f"{sum(overfitting_level(gap) == level for gap in gaps.values())} {level}" for level in LEVELS]
    text = f"Train F1 less val F1 at each trial’s best epoch: {listed(counts)}, by the guide’s bands."
    best = facts.best
    if best and best.number in gaps:
        gap = gaps[best.number]
        text += f" The best trial’s gap is {gap:+.3f}: {overfitting_level(gap)}."
    short = sum(trial.number in gaps and trial.verdict not in IN_FULL for trial in facts.study.trials)
    if short:
        text += f" {plural(short, 'trial')} of them did not train to the end, and had little time to overfit."
    return text


def trial_tail(path: Path, lines: int = 14) -> str:
    """Returns the end of a trial's error.txt; nothing if there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])[-4000:]


def changed_arguments(trial: TrialRecord) -> str:
    """Returns in words which arguments became something else than asked, such as a batch halved by a lack of memory."""
    pairs: dict[str, Any] = {**trial.effective}
    return listed([f"{name} {trial.point.get(name, '?')} became {value}" for name, value in pairs.items()])
