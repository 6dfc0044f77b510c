"""Numbers, lists and names as a reader sees them."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from yolotune.metrics import GROUPS, SHORT

#: Stands where there is no value; page.js sorts it last.
NO_VALUE = "–"


def label(metric: str) -> str:
    """Returns a metric of the record in words: `train_seg_metrics/F1` is `mask F1, train`."""
    group, _, name = metric.partition("/")
    if group in GROUPS:
        short = next((long for long, short in SHORT.items() if short == name), name)
        return f"{'box' if 'box' in group else 'mask'} {short}, {'train' if group.startswith('train') else 'val'}"
    return f"{name.removesuffix('_loss')} loss, {group}" if group in ("val", "train") else metric


def number(value: float | None, digits: int = 4) -> str:
    """Returns a value of the objective: `digits` decimals, three significant digits if it is very small or large."""
    if value is None:
        return NO_VALUE
    if abs(value) >= 1000 or 0 < abs(value) < 10**-digits:
        return f"{value:.3g}"
    return f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Returns `45 s`, `12 min` or `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def plural(count: int, word: str) -> str:
    """Returns `1 trial` or `3 trials`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(items: Sequence[str], most: int = 12) -> str:
    """Returns `a, b and c`; of more than `most` items the first ones and how many more there are."""
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def value_text(value: Any) -> str:
    """Returns the value of a setting or a hyperparameter."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {value_text(item)}" for key, item in value.items()) or "none"
    return str(value)


def literal(text: object) -> str:
    """Returns a text that plotly.js shows letter by letter; it would read a few HTML tags and entities."""
    return html.escape(str(text), quote=False)


def wrapped(text: object, width: int = 62, lines: int = 6) -> str:
    """Returns a literal text for a hover label, broken into lines, and cut if it needs more than `lines`."""
    parts = textwrap.wrap(str(text), width, break_long_words=True) or [""]
    if len(parts) > lines:
        parts = [*parts[: lines - 1], parts[lines - 1][: width - 2] + " …"]
    return "<br>".join(literal(part) for part in parts)
