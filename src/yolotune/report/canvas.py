"""Draws objects on a photograph: found ones filled, missed ones dashed, false alarms outlined in red."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

#: Longest side of a drawn photograph in pixels, and the quality of its JPEG.
SIDE, QUALITY = 400, 80
#: Red, green, blue by class, in turn; after Okabe and Ito, less their reds.
COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (204, 121, 167))
#: Red, green, blue of what a model has wrong: drawn where nothing is, and not drawn where something is.
FALSE_ALARM, MISSED = (214, 32, 32), (255, 255, 255)
#: Pixels of a dash, and of the gap after it.
DASH = 7
#: Height of a confidence in OpenCV's units, and the pixels around it.
FONT_SCALE, PADDING = 0.45, 3


class Mark(StrEnum):
    """How an object is drawn."""

    FOUND = "found"
    MISSED = "missed"
    FALSE_ALARM = "false alarm"


@dataclass(frozen=True)
class Object:
    """An object of a photograph.

    Attributes:
        index: Its class.
        mask: `(h, w)` of 0 and 1, of any size: it is drawn over the whole photograph.
        mark: How it is drawn; labelled objects count as found.
        confidence: Of a prediction, 0..1; None of a label.
    """

    index: int
    mask: np.ndarray
    mark: Mark = Mark.FOUND
    confidence: float | None = None


def color_of(index: int) -> tuple[int, int, int]:
    """Returns the colour of a class as red, green, blue."""
    return COLORS[index % len(COLORS)]


def draw(image: str, shown: Sequence[Object], path: Path) -> str:
    """Writes a photograph with objects and returns the name of the file.

    Raises:
        OSError: It cannot be read or encoded.
    """
    import cv2

    photo = cv2.imread(image, cv2.IMREAD_COLOR_RGB)
    if photo is None:
        raise OSError(f"{image}: cannot be read")
    size = drawn_size(*photo.shape[:2])
    photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if size[0] < photo.shape[1] else cv2.INTER_CUBIC)
    filled = photo.copy()
    outlines = []
    for one in shown:
        mask = cv2.resize(one.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
        if one.mark is not Mark.MISSED:
            filled[mask] = color_of(one.index)
        shapes, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outlines.append((one, shapes))
    photo = cv2.addWeighted(filled, 0.45, photo, 0.55, 0)
    for one, shapes in outlines:
        _outline(photo, one, shapes)
    _write_confidences(photo, outlines)
    encoded, data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise OSError(f"{image}: cannot be drawn")
    path.write_bytes(data.tobytes())
    return path.name


def drawn_size(height: int, width: int) -> tuple[int, int]:
    """Returns width and height in pixels at which an image is drawn."""
    scale = SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _outline(photo: np.ndarray, one: Object, shapes: Sequence[np.ndarray]) -> None:
    import cv2

    if one.mark is not Mark.MISSED:
        color = FALSE_ALARM if one.mark is Mark.FALSE_ALARM else color_of(one.index)
        cv2.drawContours(photo, shapes, -1, color, 2, cv2.LINE_AA)
        return
    for shape in shapes:
        cv2.drawContours(photo, [shape], -1, (40, 40, 40), 1, cv2.LINE_AA)  # so that white is seen on white
        for start in range(0, len(shape), 2 * DASH):
            cv2.polylines(photo, [shape[start : start + DASH]], False, MISSED, 2, cv2.LINE_AA)


def _write_confidences(photo: np.ndarray, outlines: Sequence[tuple[Object, Sequence[np.ndarray]]]) -> None:
    """Writes the confidences, of false alarms first, each where it covers no other one."""
    import cv2

    free = np.ones(photo.shape[:2], bool)
    for one, shapes in sorted(outlines, key=lambda pair: pair[0].mark is not Mark.FALSE_ALARM):
        if one.confidence is None or not shapes:
            continue
        text = f"{one.confidence:.2f}"
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, 1)
        width, height = width + 2 * PADDING, height + 2 * PADDING
        outline = max(shapes, key=cv2.contourArea)[:, 0]
        x, top = outline[outline[:, 1].argmin()]
        left = int(np.clip(x - width // 2, 0, max(0, photo.shape[1] - width)))
        top = min(int(top), max(0, photo.shape[0] - height))
        place = np.s_[top : top + height, left : left + width]
        if not free[place].all():
            continue
        free[place] = False
        photo[place] = FALSE_ALARM if one.mark is Mark.FALSE_ALARM else color_of(one.index)
        ink = (255, 255, 255) if one.mark is Mark.FALSE_ALARM else (0, 0, 0)
        origin = (left + PADDING, top + height - PADDING)
        cv2.putText(photo, text, origin, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, ink, 1, cv2.LINE_AA)


def drawn_colors(shown: Sequence[Object]) -> dict[int, str]:
    """Returns the colour of each class that occurs, as CSS writes it, by class."""
    return {index: "#{:02x}{:02x}{:02x}".format(*color_of(index)) for index in sorted({one.index for one in shown})}
