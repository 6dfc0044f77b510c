"""Where a study that trains points again has them from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """The search whose points a study trains again.

    Attributes:
        kind: `confirm` or `retrain`: the command, and what its trainings are called in W&B.
        study: Name of the search; its W&B runs and these are one group.
        uid: Of the search.
        search: Where the folder of the search is, seen from this study's.
        again: What the command was given beside that folder; given again, it goes on with this study.
        what: What is trained, in words.
        trial: The trial of the search that is trained again; None where there are several.
    """

    kind: str
    study: str
    uid: str
    search: str
    again: str
    what: str
    trial: int | None = None

    def command(self, folder: Path) -> str:
        """Returns the command line that goes on with the study of a folder."""
        search = (folder / self.search).resolve()
        shown = search.relative_to(Path.cwd()) if search.is_relative_to(Path.cwd()) else search
        return f"yolotune {self.kind} {shown} {self.again}".rstrip()
