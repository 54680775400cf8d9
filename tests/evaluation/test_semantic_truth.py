"""SemanticMetric reads the ground truth of every data set as it is stored."""

import numpy as np
import pytest

from omgseg.evaluation.functional.semantic import confusion_matrix, summarize_confusion
from omgseg.evaluation.metrics.semantic import IGNORE, SemanticTruth
from omgseg.structures.label_png import write_panoptic_png, write_png, write_vipseg_panomask, write_vspw_mask

IDS = np.array([3, 9, 7])  # cat, dog, sky


@pytest.fixture
def truth():
    """Labels (8, 12), 3 is void."""
    return np.random.default_rng(0).integers(0, 4, (8, 12))


@pytest.fixture
def check(truth, make_sample, run_metric):
    """Evaluate a prediction against the file that metainfo leads to, which must hold `truth`."""

    def run(config, truth=truth, **metainfo):
        predicted = np.random.default_rng(1).integers(0, 3, truth.shape)
        sample = make_sample({"pred_sem_seg": predicted}, img_id=1, **metainfo)
        values = run_metric({"type": "omgseg.SemanticMetric", **config}, [sample])
        expected = summarize_confusion(confusion_matrix(truth, predicted, 3, ignore_index=3))
        assert values == pytest.approx({k: 100 * expected[k.split("/")[1]] for k in values}, abs=1e-12)
        assert 0 < values["semantic/mIoU"] < 100

    return run


def test_folder_of_maps_named_as_images(check, truth, tmp_path):
    write_png(tmp_path / "maps" / "a.b.png", np.append(IDS, 255)[truth].astype(np.uint8))
    # The sample's own map is a panoptic one, of another file.
    other = {"seg_map_path": "panoptic/a.b.png", "segments_info": []}
    check({"seg_prefix": str(tmp_path / "maps")}, img_path="images/a.b.jpg", **other)


@pytest.mark.parametrize("void", [0, 255])
def test_maps_that_count_from_one(check, truth, tmp_path, void):
    write_png(tmp_path / "a.png", np.append(IDS + 1, void)[truth].astype(np.uint8))
    check({"reduce_zero_label": True}, seg_map_path=str(tmp_path / "a.png"))


def test_ids_outside_the_vocabulary(check, truth, tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.append(IDS, 34)[truth].astype(np.uint8))
    check({"ignore_unknown": True}, seg_map_path=str(path))
    check({"ignore_ids": (34,)}, seg_map_path=str(path))
    with pytest.raises(ValueError, match=r"a\.png: the value 34 is neither a category id of the vocabulary"):
        check({}, seg_map_path=str(path))


def test_categories_outside_the_vocabulary(check, truth, tmp_path):
    path = tmp_path / "a.png"
    write_panoptic_png(path, truth + 1)
    segments = [{"id": i + 1, "category_id": c} for i, c in enumerate([*IDS.tolist(), 34])]
    check({"ignore_unknown": True}, seg_map_path=str(path), segments_info=segments)
    with pytest.raises(ValueError, match=r"a\.png: segments_info holds category_id 34"):
        check({}, seg_map_path=str(path), segments_info=segments)
    with pytest.raises(ValueError, match=r"a\.png: the value 4 is neither in segments_info"):
        check({"ignore_unknown": True}, seg_map_path=str(path), segments_info=segments[:3])


def test_masks_of_vipseg_and_vspw(check, truth, tmp_path):
    classes = np.append(IDS, 255)[truth]
    write_vipseg_panomask(tmp_path / "vipseg.png", classes, np.where(truth < 2, 5, 0))
    write_vspw_mask(tmp_path / "vspw.png", classes)
    for name in ("vipseg", "vspw"):
        check({"seg_format": name}, seg_map_path=str(tmp_path / f"{name}.png"))


def test_id_255_can_be_a_category(tmp_path):
    from omgseg.structures import Vocabulary

    words = Vocabulary.from_dict({"categories": [{"id": 255, "name": "cat", "isthing": 1}]})
    write_png(tmp_path / "a.png", np.array([[255, 0]], np.uint8))
    labels = SemanticTruth(ignore_ids=(0, 255)).labels(str(tmp_path / "a.png"), words)
    assert labels.tolist() == [[0, IGNORE]]


def test_contradicting_options(run_metric):
    config = {"type": "omgseg.SemanticMetric"}
    with pytest.raises(ValueError, match=r"seg_format='ade' is not one of \['vipseg', 'vspw'\]"):
        run_metric({**config, "seg_format": "ade"}, [])
    for option in ({"reduce_zero_label": True}, {"seg_prefix": "maps"}):
        with pytest.raises(ValueError, match="seg_format='vspw' fixes how files are read"):
            run_metric({**config, "seg_format": "vspw", **option}, [])
