"""What a file really is that cannot be read as what its name says."""

from __future__ import annotations

from pathlib import Path

#: Bytes of a file that tell what it is.
HEAD = 1024


def mistaken(path: str | Path) -> tuple[str, str] | None:
    """Returns what a file is instead of an image or of weights, and the fix; None if it is none of the usual mistakes.

    Args:
        path: A file that can be opened.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty.", "copy or download it again."
    if not head.strip(b"\0"):
        return "the file holds zeros alone, as after a copy that was cut off.", "copy or download it again."
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<svg")):
        return "a web page or XML, as a failed download leaves it.", "download the file itself again."
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself.", "fetch the files: git lfs pull."
    return None
