"""Names out of tens of thousands of words: time, memory, and words that cannot be read."""

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch.utils._python_dispatch import TorchDispatchMode

from omgseg.inference import InteractivePredictor
from omgseg.models.omgseg.classifier import ClassTexts
from omgseg.projects.ov_sam import OpenVocabularySAM, OVSamSegmenter
from omgseg.protocols import MissingWords
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

CLASSES, OBJECTS, EMBED_DIM = 25_000, 100, 768
WORDS = Vocabulary.from_names(f"word {number}" for number in range(CLASSES))
LARGEST_MB = 256


class Sizes(TorchDispatchMode):
    """Notes the size of the largest tensor that is made."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes())
        return made


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture(scope="module")
def scorer():
    """A model with nothing but what scores words, at the published size; one or two random words a class."""
    counts = torch.arange(CLASSES) % 2 + 1
    texts = ClassTexts(
        unit(int(counts.sum()), EMBED_DIM), torch.arange(CLASSES).repeat_interleave(counts), CLASSES
    )
    model = OpenVocabularySAM.__new__(OpenVocabularySAM)
    torch.nn.Module.__init__(model)
    model.base_words = Vocabulary.from_names(["word 7"])
    model.register_buffer("pixel_mean", torch.zeros(1))
    model.alpha, model.beta = 0.1, 0.9
    model.text_encoder = type("Texts", (), {"class_texts": staticmethod(lambda words: texts)})
    model._named = None
    return model


def test_a_hundred_masks_are_named_from_25000_classes_in_bounded_memory(scorer):
    given = (
        unit(OBJECTS, EMBED_DIM, seed=1),
        unit(OBJECTS, EMBED_DIM, seed=2),
        torch.ones(OBJECTS, dtype=torch.bool),
    )
    scorer.score_words(*given, WORDS)  # reads the words
    with Sizes() as sizes, torch.no_grad():
        start = time.process_time()
        found = scorer.score_words(*given, WORDS)
        seconds = time.process_time() - start
    assert found.shape == (OBJECTS, CLASSES) and (found.sum(1) < 1 + 1e-4).all()
    assert sizes.largest < LARGEST_MB * 1e6
    assert seconds < 2.0  # of one core; a tenth of it where nothing else runs


def test_many_objects_are_scored_as_few(scorer, monkeypatch):
    given = unit(9, EMBED_DIM, seed=1), unit(9, EMBED_DIM, seed=2), torch.arange(9) % 2 > 0
    whole = scorer.score_words(*given, WORDS)
    monkeypatch.setattr("omgseg.projects.ov_sam.model.SCORES_AT_ONCE", 2 * CLASSES)
    torch.testing.assert_close(scorer.score_words(*given, WORDS), whole)


@pytest.fixture(scope="module")
def small():
    """A model of the toy world's size, with random weights."""
    config = Config.fromfile("projects/ov_sam/configs/toy_omg_ov_sam.py").model.ov_sam
    config.image_encoder.trunk.pretrained = config.text_encoder.pretrained = None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return OVSamSegmenter.from_model(MODELS.build(config).eval(), {})


@pytest.fixture
def predictor(small):
    predictor = InteractivePredictor(small)
    predictor.set_image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    return predictor


def test_a_click_gets_its_best_five_names(predictor):
    predictor.vocabulary = Vocabulary.from_names(["cat", "dog", "sky", "tree", "car", "house", "sea"])
    result = predictor.predict(boxes=[(5, 5, 40, 40)])
    (names,) = result.top_names
    assert len(names) == 5 and names[0][0] == result.names[0]
    assert all(first[1] >= second[1] for first, second in zip(names, names[1:], strict=False))


def test_words_are_read_once_for_many_clicks(predictor, small, monkeypatch):
    reads = []
    read = small.model.text_encoder.class_texts
    monkeypatch.setattr(
        small.model.text_encoder, "class_texts", lambda words: reads.append(words) or read(words)
    )
    predictor.vocabulary = ["fish", "bird"]
    for x in (10, 20, 30):
        predictor.predict(points=[(x, 20)])
    assert len(reads) == 1


def test_words_that_cannot_be_read_are_named(predictor, small, monkeypatch):
    monkeypatch.setattr(small.model.text_encoder, "pretrained", "no/such/clip.pt")
    predictor.vocabulary = ["okapi", "quokka"]
    with pytest.raises(MissingWords, match="cannot read 'okapi', 'quokka': .*no/such/clip.pt"):
        predictor.predict(boxes=[(5, 5, 40, 40)])
