"""SAM 3 finds what transformers' processor finds: instances and maps of phrases, and what is like exemplars."""

import numpy as np
import pytest
import torch

import omgseg
from omgseg.guests import sam3
from omgseg.inference import OMGSegInferencer, UnsupportedRequest
from omgseg.protocols import ExemplarModel, Exemplars, PromptableModel, Request, TrackingModel
from omgseg.structures import Category, Task, Vocabulary
from omgseg.structures.run_lengths import decode_masks
from tests.guests.tiny import CONCEPTS, transformers

WORDS = Vocabulary.from_names(["street", "red_kite", "Dog", "car", "x", "hat"])
"""More than are decoded together."""
SIZE = (90, 120)
BOXES = np.array([(10, 5, 60, 50), (70, 40, 119.5, 90), (0, 0, 30, 30)], np.float32)


@pytest.fixture(scope="module", params=CONCEPTS)
def pair(request, guest_folder):
    """A guest, and the network and processor of transformers for the same folder."""
    folder = guest_folder(request.param)
    kind = transformers.Sam3LiteTextModel if request.param == "sam3_lite_text" else transformers.Sam3Model
    images, tokens = (
        one.from_pretrained(folder) for one in (transformers.AutoImageProcessor, transformers.AutoTokenizer)
    )
    processor = transformers.Sam3Processor(images, tokens)
    return omgseg.load(folder, device="cpu", dtype="float32"), kind.from_pretrained(folder).eval(), processor


@pytest.fixture(scope="module")
def model(guest_folder):
    return omgseg.load(guest_folder("sam3"), device="cpu", dtype="float32")


def output_of(network, processor, photo, **prompts):
    inputs = processor(images=photo, return_tensors="pt", **prompts)
    del inputs["original_sizes"]
    with torch.no_grad():
        return network(**inputs)


def same(masks: np.ndarray, scores: np.ndarray, output, processor, min_score: float) -> bool:
    """Whether these are the instances of the processor, by falling score, without those that have no pixel."""
    (theirs,) = processor.post_process_instance_segmentation(output, threshold=min_score, target_sizes=[SIZE])
    order = theirs["scores"].argsort(descending=True)
    expected = theirs["masks"][order].bool().numpy()
    kept = expected.any((1, 2))
    return (
        np.allclose(scores, theirs["scores"][order].numpy()[kept], atol=1e-5)
        and len(masks) == kept.sum()
        and (not kept.any() or (masks != expected[kept]).mean() < 1e-3)
    )


@pytest.mark.parametrize("min_score", [0.0, 0.09])
def test_instances_of_words(pair, photo, min_score):
    model, network, processor = pair
    (found,) = model.predict([photo], Request(Task.INSTANCE, WORDS, min_score))
    assert found.vocabulary == WORDS and (np.diff(found.scores) <= 0).all() and len(set(found.labels)) > 1
    for label, text in enumerate(("street", "red kite", "dog", "car", "x", "hat")):
        output = output_of(network, processor, photo, text=text)
        of_word = found.labels == label
        assert same(found.masks[of_word], found.scores[of_word], output, processor, min_score)
        assert found.scores[of_word].max(initial=0) <= output.presence_logits.sigmoid().item(), (
            "presence rejects"
        )


def test_maps_of_words_that_are_present(pair, photo, monkeypatch):
    model, network, processor = pair
    maps, presence = {}, {}
    for word in WORDS:
        output = output_of(network, processor, photo, text=word.words[0])
        presence[word.name] = output.presence_logits.sigmoid().item()
        (map_,) = processor.post_process_semantic_segmentation(output, target_sizes=[SIZE])
        maps[word.name] = map_.bool().numpy()
    limit = sorted(presence.values())[3] - 1e-4
    monkeypatch.setattr(sam3, "PRESENT", limit)  # three of the words
    for word in WORDS:
        (alone,) = model.predict([photo], Request(Task.SEMANTIC, Vocabulary([word])))
        if presence[word.name] < limit:
            assert not len(alone.rles)
        else:
            assert (alone.masks[0] != maps[word.name]).mean() < 1e-3
            assert 0.5 * presence[word.name] < alone.scores[0] < presence[word.name]
    (found,) = model.predict([photo], Request(Task.SEMANTIC, WORDS))
    assert len(found.rles) > 1 and found.masks.sum(0).max() == 1
    some = np.any([maps[name] for name in maps if presence[name] >= limit], axis=0)
    assert (found.masks.any(0) != some).mean() < 1e-3


@pytest.mark.parametrize("labels", [[1], [1, 0, 1], [0, 0]])
@pytest.mark.parametrize("word", [None, "Red_kite"])
def test_what_is_like_exemplars(pair, photo, labels, word):
    model, network, processor = pair
    assert isinstance(model, ExemplarModel)
    assert isinstance(model, PromptableModel) == isinstance(model, TrackingModel)  # in files with a tracker
    boxes = BOXES[: len(labels)]
    exemplars = Exemplars(boxes, np.array(labels, np.int8), word and Category(word))
    found = model.find_alike(model.encode_image(photo), exemplars, 0.05)
    text = {} if word is None else {"text": "red kite"}
    output = output_of(
        network, processor, photo, input_boxes=[boxes.tolist()], input_boxes_labels=[labels], **text
    )
    assert len(found.rles) and same(decode_masks(found.rles, SIZE), found.scores, output, processor, 0.05)


def test_an_image_and_a_phrase_are_encoded_once(model, photo, monkeypatch):
    calls = []
    for part in (model.network.vision_encoder, model.network.text_encoder):
        monkeypatch.setattr(
            part,
            "forward",
            lambda *a, _part=part, _do=part.forward, **k: (calls.append(_part), _do(*a, **k))[1],
        )
    model._known.clear()
    images = [photo, photo[:50, :70].copy()]
    assert model.group_key((90, 120)) == model.group_key((50, 70))
    first = model.predict(images, Request(Task.INSTANCE, WORDS))
    assert calls.count(model.network.vision_encoder) == 1, "for all images of a batch"
    assert calls.count(model.network.text_encoder) == -(-len(WORDS) // sam3.PHRASES_AT_ONCE)
    calls.clear()
    again = model.predict(images, Request(Task.INSTANCE, Vocabulary(reversed(list(WORDS)))))
    assert model.network.text_encoder not in calls
    assert [len(one.rles) for one in again] == [len(one.rles) for one in first]
    monkeypatch.setattr(sam3, "KEPT_PHRASES", 4)
    model.predict(images, Request(Task.SEMANTIC, WORDS))
    assert len(model._known) <= 4


def test_stuff_is_no_instance(model, photo):
    words = Vocabulary([Category("street", is_thing=False), Category("dog")])
    (found,) = model.predict([photo], Request(Task.INSTANCE, words))
    assert set(found.names) == {"dog"}
    (none,) = model.predict([photo], Request(Task.INSTANCE, Vocabulary([words[1]])))
    assert not len(none.rles) and none.size == SIZE
    with pytest.raises(ValueError, match="no words: SAM 3 knows none"):
        model.predict([photo], Request(Task.INSTANCE))


def test_a_long_phrase_is_cut(model, photo):
    words = Vocabulary.from_names(["a dog " * 20, "dog"])
    (found,) = model.predict([photo], Request(Task.INSTANCE, words))
    assert set(found.labels) == {0, 1}


def test_through_the_inferencer(model, photo):
    seg = OMGSegInferencer(model)
    assert seg.default_task is Task.INSTANCE
    found = seg(photo, vocabulary=["street"], min_score=0)
    assert set(found.names) == {"street"}, "no background words compete"
    exemplars = {"exemplars": BOXES[:2], "labels": [1, 0]}
    alike = seg(photo, "interactive", ["street"], exemplars, min_score=0)
    assert len(alike) and set(alike.names) == {"street"}
    with pytest.raises(
        UnsupportedRequest, match="does not offer prompts by points; it offers .* by exemplars"
    ):
        seg(photo, "interactive", prompts={"points": [(9, 9)]})


def test_bfloat16(guest_folder, photo):
    model = omgseg.load(guest_folder("sam3"), device="cpu", dtype="bfloat16")
    (found,) = model.predict([photo], Request(Task.INSTANCE, WORDS))
    alike = model.find_alike(model.encode_image(photo), Exemplars(BOXES, np.ones(3, np.int8)), 0.0)
    for rles, scores in ((found.rles, found.scores), (alike.rles, alike.scores)):
        assert len(rles) and tuple(rles[0]["size"]) == SIZE and np.isfinite(scores).all()
