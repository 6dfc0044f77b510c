"""Hints beside an error."""

from __future__ import annotations

from yolotune.errors import did_you_mean


def test_the_name_that_was_begun_goes_before_the_closest() -> None:
    names = ("brackets", "grace_period", "rank")
    assert did_you_mean("grace", names) == " Did you mean grace_period?"
    assert did_you_mean("bracket", names) == " Did you mean brackets?"
    assert did_you_mean("", names) == did_you_mean("zzz", names) == ""
