"""Tables and detections, with and without the packages that make them."""

import sys

import numpy as np
import pytest

from omgseg.inference.results import SegmentationResult


def test_one_row_a_segment(panoptic):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    result = panoptic(time=1.5, frame_index=3)
    table = result.to_dataframe()
    assert isinstance(table, pandas.DataFrame)
    assert table["name"].tolist() == ["cat", "dog", "sky", "road"]
    assert table["score"].to_numpy().tolist() == result.scores.tolist()
    assert table["area"].tolist() == result.areas.tolist()
    assert table[["x1", "y1", "x2", "y2"]].to_numpy().tolist() == result.boxes.tolist()
    assert table["is_thing"].tolist() == [True, True, False, False]
    assert set(table["frame"]) == {3} and set(table["time"]) == {1.5}


def test_a_video_is_one_table(film):
    pytest.importorskip("pandas", reason="pandas is not installed")
    table = film.to_dataframe()
    assert table.groupby("frame")["id"].count().tolist() == [4, 4, 3, 4, 4]
    assert table[table["id"] == 7]["frame"].tolist() == [0, 1, 3, 4]


def test_an_empty_table_has_the_same_columns(panoptic):
    pytest.importorskip("pandas", reason="pandas is not installed")
    empty = SegmentationResult("instance", (3, 4), [], [], []).to_dataframe()
    assert len(empty) == 0 and empty.dtypes.equals(panoptic().to_dataframe().dtypes)


def test_supervision_takes_everything(instances):
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    result = instances()
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections) and len(found) == 3
    assert np.array_equal(found.mask, result.masks) and np.array_equal(found.xyxy, result.boxes)
    assert found.class_id.tolist() == [0, 1, 0] and found.tracker_id.tolist() == [1, 2, 3]
    assert found.data["class_name"].tolist() == ["cat", "dog", "cat"]
    assert found.confidence.tolist() == result.scores.tolist()
    assert len(found[found.confidence > 0.5]) == 2
    empty = SegmentationResult("instance", (3, 4), [], [], []).to_supervision()
    assert len(empty) == 0


@pytest.mark.parametrize("package", ["pandas", "supervision"])
def test_a_missing_package_is_named(panoptic, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # import fails
    convert = {"pandas": panoptic().to_dataframe, "supervision": panoptic().to_supervision}[package]
    with pytest.raises(ImportError, match=f"needs {package}: pip install {package}"):
        convert()
