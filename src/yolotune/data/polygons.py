"""The polygons of one label file, measured: how large they are, and which of them cross themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

#: Columns of the array that `measure` returns.
LINE, CLASS, WIDTH, HEIGHT, AREA, CROSSING = range(6)
#: Of a polygon that crosses itself the share of its mask that must differ for it to count: tiny knots are harmless.
KNOT = 0.05


def measure(rows: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """Returns an array `(n, 6)` of line, class, width, height and area of each polygon, and whether it crosses itself.

    Width and height are those of the polygon's box, as shares of the image's; the area is a share of the image's too.
    It is that of the mask: a polygon that crosses itself is filled as far as one can walk around it.

    Args:
        rows: Line number and `(class, x1, y1, x2, y2, ...)` of each polygon, of 3 points or more.
    """
    measured = np.zeros((len(rows), 6))
    if not rows:
        return measured
    rings = [row[1:].reshape(-1, 2) for _, row in rows]
    closed = [np.concatenate([ring, ring[:1]]) for ring in rings]  # shapely counts a closed ring of 3 points as 2
    indices = np.repeat(np.arange(len(rows)), [len(ring) for ring in closed])
    polygons = shapely.polygons(shapely.linearrings(np.concatenate(closed), indices=indices))
    measured[:, LINE] = [line for line, _ in rows]
    measured[:, CLASS] = [row[0] for _, row in rows]
    measured[:, WIDTH : HEIGHT + 1] = [np.ptp(ring, axis=0) for ring in rings]
    around = shapely.area(polygons)
    measured[:, AREA] = around
    for index in np.flatnonzero(~shapely.is_valid(polygons)):
        area = shapely.area(shapely.make_valid(polygons[index]))
        measured[index, AREA] = area
        differs = abs(area - around[index]) > KNOT * max(area, around[index])
        measured[index, CROSSING] = differs and not _bridged(closed[index])
    return measured


def _bridged(ring: np.ndarray) -> bool:
    """Returns whether a closed ring `(n, 2)` walks an edge there and back.

    So Ultralytics' converter joins the parts of an object that something hides in the middle; nothing is wrong with it.
    """
    edges = {(*start, *end) for start, end in zip(ring[:-1].tolist(), ring[1:].tolist(), strict=True) if start != end}
    return any((*edge[2:], *edge[:2]) in edges for edge in edges)
