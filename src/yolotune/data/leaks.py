"""What splits should not share: images by their content, frames of one video, versions of one photograph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from yolotune.data.findings import Finding, Level
from yolotune.data.labels import Sample
from yolotune.data.likeness import Pair, find_pairs

#: A name as Roboflow gives it to each version of a photograph.
VERSION_OF = re.compile(r"(?P<source>.+)_(?:avif|bmp|heic|jpe?g|png|tiff?|webp)\.rf\.[0-9a-zA-Z]+")
#: A name that says that it is a frame of a video.
FRAME_OF = re.compile(
    r"(?P<video>.*?)[ _.-]*(?:frame|frm)s?[ _.-]*\d+"  # clip3_frame_000120
    r"|(?P<file>.+[._-](?:avi|m4v|mkv|mov|mp4|mpg|webm))[._-].*\d+",  # clip3.mp4-120
    re.IGNORECASE,
)


def leaks(samples: Mapping[str, Sequence[Sample]], fingerprint: str, shown: Callable[[str], str]) -> Iterator[Finding]:
    """Yields what is in two splits.

    Args:
        samples: All images by split, the training split first.
        fingerprint: Of the dataset.
        shown: Shortens a path for the reader.
    """
    readable = {split: [one for one in part if any(one.pixels)] for split, part in samples.items()}
    yield from _of_content(find_pairs(readable, fingerprint), readable, shown)
    yield from _of_names(samples)


def _of_content(
    pairs: Sequence[Pair], samples: Mapping[str, Sequence[Sample]], shown: Callable[[str], str]
) -> Iterator[Finding]:
    groups: dict[tuple[tuple[str, str], bool], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.splits, pair.identical), []).append(pair)
    for ((split, other), identical), found in groups.items():
        of = f"{len(found):,} of {len(samples[split]):,} images {'is' if len(found) == 1 else 'are'}"
        examples = tuple(f"{shown(pair.image)} and {shown(pair.other)}" for pair in found)
        if split == other:
            what = f"{of} there twice: {examples[0]}."
            yield Finding(Level.NOTE, "copy-in-split", split, what, "", len(found), examples)
            continue
        known = "were trained on" if other == "train" else "decided which model is chosen"
        fix = f"take them out of one split; a score on images that {known} is too high."
        if identical:
            what = f"{of} in {other} too, under another name: {examples[0]}."
            yield Finding(Level.WARNING, "same-image", split, what, fix, len(found), examples)
        else:
            what = f"{of} in {other} too, it seems, saved anew: {examples[0]}."
            yield Finding(Level.WARNING, "similar-image", split, what, f"look at them, and {fix}", len(found), examples)


def _of_names(samples: Mapping[str, Sequence[Sample]]) -> Iterator[Finding]:
    names = {split: [Path(sample.image).stem for sample in part] for split, part in samples.items()}
    for other, split in (("train", "val"), ("train", "test"), ("val", "test")):
        if other in names and split in names:
            yield from _of_versions(names[other], names[split], (other, split))
            yield from _of_videos(names[other], names[split], (other, split))


def _of_versions(names: Sequence[str], others: Sequence[str], splits: tuple[str, str]) -> Iterator[Finding]:
    sources = [{match["source"] for name in part if (match := VERSION_OF.fullmatch(name))} for part in (names, others)]
    both = tuple(sorted(sources[0] & sources[1]))
    if both:
        several = "1 photograph has" if len(both) == 1 else f"{len(both):,} photographs have"
        what = f"{several} versions (`.rf.` in the name) in {splits[0]} and in {splits[1]}: {both[0]}."
        fix = "keep all versions of a photograph in one split."
        yield Finding(Level.WARNING, "same-photograph", " and ".join(splits), what, fix, len(both), both)


def _of_videos(names: Sequence[str], others: Sequence[str], splits: tuple[str, str]) -> Iterator[Finding]:
    first, second = _videos(names), _videos(others)
    # a frame of the same name in both is of two videos whose names do not tell them apart
    both = [video for video in sorted(first.keys() & second.keys()) if not first[video] & second[video]]
    if both:
        several = "of 1 video are" if len(both) == 1 else f"of {len(both):,} videos are"
        examples = tuple(
            f"{video or 'unnamed'} ({len(first[video])} in {splits[0]}, {len(second[video])} in {splits[1]})"
            for video in both
        )
        what = f"by their names, frames {several} in {splits[0]} and in {splits[1]}: {examples[0]}."
        fix = "keep all frames of a video in one split: neighbours look alike, and make a score too high."
        yield Finding(Level.WARNING, "same-video", " and ".join(splits), what, fix, len(both), examples)


def _videos(names: Sequence[str]) -> dict[str, set[str]]:
    """Returns the names of frames by video."""
    found: dict[str, set[str]] = {}
    for name in names:
        match = VERSION_OF.fullmatch(name)
        source = match["source"] if match else name
        if frame := FRAME_OF.match(source):
            found.setdefault(frame["video"] or frame["file"] or "", set()).add(source)
    return found
