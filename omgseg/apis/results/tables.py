"""Results as tables, and as detections of the package supervision. Both packages are optional."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    import supervision

    from omgseg.structures.segments import Segments

COLUMNS = {
    "frame": "int64",
    "time": "float64",
    "id": "int64",
    "label": "int64",
    "name": "object",
    "is_thing": "bool",
    "score": "float32",
    "area": "int64",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
}


def rows(result: Segments) -> Iterator[dict[str, Any]]:
    """One row a segment, with the keys of ``COLUMNS``."""
    things = result.is_thing.tolist()
    for index, name in enumerate(result.names):
        yield {
            "frame": result.frame_index or 0,
            "time": result.time,
            "id": int(result.ids[index]),
            "label": int(result.labels[index]),
            "name": name,
            "is_thing": things[index],
            "score": float(result.scores[index]),
            "area": int(result.areas[index]),
            **dict(zip(("x1", "y1", "x2", "y2"), result.boxes[index].tolist(), strict=True)),
        }


def to_dataframe(results: Iterable[Segments]) -> pandas.DataFrame:
    """All rows of some results, with the types of ``COLUMNS``.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_dataframe() needs pandas: pip install pandas") from None
    listed = [row for result in results for row in rows(result)]
    return pandas.DataFrame(listed, columns=list(COLUMNS)).astype(COLUMNS)


def to_supervision(result: Segments) -> supervision.Detections:
    """Masks, boxes, scores, classes and their names; identities as ``tracker_id``.

    Raises:
        ImportError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise ImportError("to_supervision() needs supervision: pip install supervision") from None
    return supervision.Detections(
        xyxy=np.array(result.boxes),
        mask=result.masks,
        confidence=np.array(result.scores),
        class_id=np.array(result.labels),
        tracker_id=np.array(result.ids),
        data={"class_name": np.array(result.names, dtype=str)},
    )
