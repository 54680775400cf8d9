"""The command: from a config and a run to a page, a list and a cleaned annotation file; and the toy proof."""

import json
from pathlib import Path

import numpy as np
import pytest

from omgseg.datasets.checking import DatasetFiles
from omgseg.projects.data_cleaning import find_outliers, toy_proof
from omgseg.projects.data_cleaning.corruption import SHARES, write_dirty
from omgseg.projects.data_cleaning.find_outliers import main
from omgseg.projects.data_cleaning.ranking import METHODS, ranked
from omgseg.projects.data_cleaning.survey import (
    SurveyError,
    annotated_images,
    by_names,
    by_queries,
    survey,
)
from omgseg.protocols import MissingWords
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import decode_panoptic_png
from omgseg.structures.run_lengths import encode_masks


def command(config, run_config, out, *options):
    main([str(config), "--run", str(run_config), "--weights", "random", "--out", str(out), *options])


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit):
        command(*arguments)
    return capsys.readouterr().err


def kept_by(config_type, file, folders):
    """Ids of the segments that training reads from an annotation file."""
    config = dict(type=config_type, ann_file=str(file), data_prefix=folders)
    dataset = annotated_images(DatasetFiles("cleaned", config))
    samples = [dataset.prepare_data(index) for index in range(len(dataset))]
    return [(s["frames"][0]["img_id"], n) for s in samples for n in s["gt_instance_ids"].tolist()]


@pytest.mark.parametrize("kind", ["panoptic", "instances"])
def test_suspects_are_listed_shown_and_dropped(kind, config_of, run_config, coco, tmp_path, capsys):
    old = coco / f"annotations/{kind}_train2017.json"
    content = old.read_text()
    out = tmp_path / "found" / "suspects.html"
    command(config_of(kind), run_config, out, "--method", "knn", "--drop", "10%", "--show", "3")
    listed = json.loads(out.with_suffix(".json").read_text())
    suspects = listed["suspects"]
    assert listed["annotations"] == str(old) and listed["method"] == "knn"
    assert [one["rank"] for one in suspects] == list(range(1, len(suspects) + 1))
    scores = [one["score"] for one in suspects]
    assert scores == sorted(scores, reverse=True)
    page = out.read_text()
    assert page.count("data:image/jpeg;base64,") == 3 and suspects[0]["annotated"] in page
    cleaned = tmp_path / "found" / "suspects_cleaned.json"
    folders = dict(img=str(coco / "train2017"), seg=str(coco / "annotations/panoptic_train2017"))
    names = dict(panoptic="CocoPanopticDataset", instances="CocoInstanceDataset")
    kept = kept_by(names[kind], cleaned, folders)
    dropped = round(0.1 * len(suspects))
    order = [(one["image_id"], one["segment_id"]) for one in suspects]
    assert dropped > 0 and set(kept) == set(order[dropped:])
    assert old.read_text() == content and f"without {dropped} of {len(suspects)}" in capsys.readouterr().out
    assert "exists; give another --out" in refusal(capsys, config_of(kind), run_config, out)


def test_bad_input_ends_in_a_sentence(config_of, run_config, tmp_path, capsys, coco):
    out = tmp_path / "suspects.html"
    instances = json.loads((coco / "annotations/instances_train2017.json").read_text())
    nothing = tmp_path / "nothing.json"
    nothing.write_text(json.dumps({**instances, "annotations": []}))
    cases = {
        "'annotations' is empty": (config_of("instances", ann_file=str(nothing)), run_config, out),
        "not found; see data/README.md#coco": (config_of(ann_file="gone.json"), run_config, out),
        "config gone.py not found": (Path("gone.py"), run_config, out),
        "give a file .html": (config_of(), run_config, tmp_path / "suspects.json"),
        "--source coco: the train data of the config are coco_panoptic": (
            config_of(),
            run_config,
            out,
            "--source",
            "coco",
        ),
        "the config has no val_dataloader": (config_of(), run_config, out, "--split", "val"),
        "have no classes": (config_of(type="CocoPromptDataset"), run_config, out),
        "it has boxes and no masks": (config_of("instances", boxes_only=True), run_config, out),
        "'200%' is not a share": (config_of(), run_config, out, "--drop", "200%"),
        "'some' is not a share": (config_of(), run_config, out, "--drop", "some"),
        "must be at least 0": (config_of(), run_config, out, "--show", "-1"),
    }
    for sentence, arguments in cases.items():
        assert sentence in refusal(capsys, *arguments), sentence
    assert not out.exists()


def test_a_class_without_words_ends_in_a_sentence(config_of, run_config, tmp_path, capsys, coco):
    content = json.loads((coco / "annotations/instances_train2017.json").read_text())
    content["categories"][0]["name"] = ""
    file = tmp_path / "no_words.json"
    file.write_text(json.dumps(content))
    error = refusal(capsys, config_of("instances", ann_file=str(file)), run_config, tmp_path / "a.html")
    assert "name" in error and str(file) in error


@pytest.fixture(scope="module")
def found(model, coco):
    folders = dict(img=str(coco / "train2017"), seg=str(coco / "annotations/panoptic_train2017"))
    config = dict(
        type="CocoPanopticDataset",
        ann_file=str(coco / "annotations/panoptic_train2017.json"),
        data_prefix=folders,
    )
    return survey(annotated_images(DatasetFiles("coco_panoptic", config)), model)


def test_a_survey_has_a_row_for_each_segment(found, model):
    count = len(found.labels)
    queries = model.model.query_decoder.query_feat.weight.shape[1]
    assert found.seen.embeddings.shape == (count, queries + model.model.text_encoder.embed_dim)
    parts = found.seen.embeddings[:, :queries], found.seen.embeddings[:, queries:]
    assert all(np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-4) for part in parts)
    assert found.seen.probs.shape == (count, len(found.vocabulary))
    assert np.allclose(found.seen.probs.sum(1), 1, atol=1e-4)
    assert ((found.seen.ious >= 0) & (found.seen.ious <= 1)).all() and found.seen.ious.max() > 0
    assert len(found.seen.rles) == len(found.rles) == len(found.images) == count
    assert not found.empty.any()


def test_a_query_is_found_by_its_own_mask(model):
    image = np.random.default_rng(0).integers(0, 255, (90, 140, 3), np.uint8)
    words = Vocabulary.from_names(["dog", "truck"])
    everything = encode_masks(np.ones((1, 90, 140), bool))
    first = by_queries(model, image, everything, words)
    own = [rle for rle in first.rles if rle["counts"]]
    again = by_queries(model, image, own, words)
    assert (again.ious > first.ious - 1e-6).all() and again.ious[0] > 0.8


def test_an_empty_mask_has_no_embedding_and_a_tiny_one_has(model):
    masks = np.zeros((2, 90, 140), bool)
    masks[1, 40, 70] = True
    image = np.zeros((90, 140, 3), np.uint8)
    seen = by_queries(model, image, encode_masks(masks), Vocabulary.from_names(["dog"]))
    assert np.isnan(seen.embeddings[0]).all() and np.isfinite(seen.embeddings[1]).all()


def test_a_model_that_names_masks_needs_no_queries(model):
    masks = np.zeros((2, 90, 140), bool)
    masks[0, 20:80, 20:90] = True
    image = np.random.default_rng(0).integers(0, 255, (90, 140, 3), np.uint8)
    seen = by_names(model, image, encode_masks(masks), Vocabulary.from_names(["dog", "truck"]))
    assert np.isfinite(seen.embeddings[0]).all() and np.isnan(seen.embeddings[1]).all()
    assert seen.probs[0].sum() == pytest.approx(1, abs=1e-5) and not seen.probs[1].any()


def test_hints_say_what_looks_wrong(found):
    scores = np.zeros(len(found.labels))
    scores[0] = -np.inf
    suspects = ranked(found, scores)
    assert suspects[-1].index == 0 and suspects[-1].hint == "not judged"
    for one in suspects[:-1]:
        other = one.likely != found.labels[one.index]
        assert (one.hint == "another label is likelier") == other


def test_models_that_cannot_look_at_segments_are_refused(coco):
    class ClicksOnly:
        pass

    with pytest.raises(SurveyError, match="ClicksOnly has no queries and names no masks"):
        survey([], ClicksOnly())


class Namer:
    """Names masks, with probabilities or an error that are given."""

    def __init__(self, answer):
        self._answer = answer

    def encode_image(self, image):
        return None

    def name_masks(self, state, rles, words):
        if isinstance(self._answer, Exception):
            raise self._answer
        return np.full((len(rles), len(words)), self._answer, np.float32)


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (MissingWords(["red ring"], "give the text encoder's weights"), "the model cannot read 'red ring'"),
        (0.0, "the model sees none of"),
    ],
)
def test_a_model_that_sees_nothing_or_misses_words_is_refused(
    answer, sentence, config_of, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(find_outliers, "load", lambda *arguments: Namer(answer))
    assert sentence in refusal(capsys, config_of(), "run", tmp_path / "suspects.html")


def test_mistakes_are_those_that_are_listed(coco, tmp_path):
    annotations = coco / "annotations"
    mistakes = write_dirty(annotations, "panoptic_train2017", "dirty", seed=1)
    assert set(mistakes.values()) == set(SHARES)
    assert mistakes == write_dirty(annotations, "panoptic_train2017", "dirty", seed=1)
    images = json.loads((annotations / "panoptic_train2017.json").read_text())["annotations"]
    dirty = {e["image_id"]: e for e in json.loads((annotations / "dirty.json").read_text())["annotations"]}
    for entry in images:
        before = decode_panoptic_png(annotations / "panoptic_train2017" / entry["file_name"])
        after = decode_panoptic_png(annotations / "dirty" / entry["file_name"])
        changed = {s["id"]: s["category_id"] for s in dirty[entry["image_id"]]["segments_info"]}
        for segment in entry["segments_info"]:
            kind = mistakes.get((entry["image_id"], segment["id"]))
            relabelled = changed[segment["id"]] != segment["category_id"]
            assert relabelled == (kind in ("label", "swap"))
            pixels = (before == segment["id"]), (after == segment["id"])
            if kind == "empty":
                assert not pixels[1].any()
            elif kind == "mask":
                overlap = (pixels[0] & pixels[1]).sum() / (pixels[0] | pixels[1]).sum()
                assert pixels[1].any() and overlap < 0.5


def test_the_toy_proof_runs_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    student = {"cleaned": toy_proof.CLEANED}  # each takes seconds
    monkeypatch.setattr(toy_proof, "STUDENTS", student)
    methods = ["confident_learning", "agreement", "knn"]
    runs = toy_proof.main(
        ["--quick", "--seeds", "0", "--work-dir", str(tmp_path), "--train", "--methods", *methods]
    )
    assert list(runs) == [*methods, *student] and set(methods) < set(METHODS)
    assert all(0 <= one["P@5 %"] <= 100 for name in methods for one in runs[name])
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == methods
    rows = (tmp_path / "training.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == list(student)
