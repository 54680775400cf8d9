"""Tens of thousands of words: embedded in batches, kept without padding, and compared a few at a time."""

import pytest
import torch
import torch.nn.functional as F

from omgseg.models.omgseg import classifier
from omgseg.models.omgseg import text_encoder as text_encoder_module
from omgseg.models.omgseg.classifier import ClassTexts, text_logits
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.protocols import MissingWords
from omgseg.structures import Category, Vocabulary


@pytest.fixture
def encoder(tiny_clip, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(text_encoder_module, "_WORDS_AT_ONCE", 2)
    return TextEncoder(tiny_clip, tiny_weights, "photo", cache_dir=str(tmp_path))


WORDS = ["cat", "a very long name of some animal", "dog", "sky", "red kite"]


def test_batches_are_embedded_as_one(encoder, tiny_clip, tiny_weights, tmp_path, monkeypatch, capsys):
    """Batches of longer and of shorter sentences, whose padding is cut differently."""
    in_batches = encoder(Vocabulary.from_names(WORDS))
    assert "text embeddings" in capsys.readouterr().err
    monkeypatch.setattr(text_encoder_module, "_WORDS_AT_ONCE", 100)
    whole = TextEncoder(tiny_clip, tiny_weights, "photo", cache_dir=str(tmp_path / "other"))
    torch.testing.assert_close(whole(Vocabulary.from_names(WORDS)), in_batches)
    assert "text embeddings" not in capsys.readouterr().err  # a few words show no progress


def test_an_interruption_loses_one_batch(encoder, monkeypatch):
    embed, batches = TextEncoder._embed_batch, []

    def interrupted(self, tower, tokenize, words):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(words)
        return embed(self, tower, tokenize, words)

    monkeypatch.setattr(TextEncoder, "_embed_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encoder(Vocabulary.from_names(WORDS))
    batches.clear()
    encoder(Vocabulary.from_names(WORDS))
    assert batches == [WORDS[4:]]


def test_words_without_a_text_tower_are_named(tiny_clip, tiny_weights, tmp_path, monkeypatch):
    encoder = TextEncoder(tiny_clip, tiny_weights, "photo", cache_dir=str(tmp_path))
    encoder(Vocabulary.from_names(["cat"]))
    encoder.pretrained = str(tmp_path / "gone.safetensors")
    assert encoder(Vocabulary.from_names(["cat"])).shape == (1, 1, 24)
    with pytest.raises(
        MissingWords, match=r"cannot read 'dog': .* not in the cache .*sqlite .*gone.safetensors"
    ) as error:
        encoder(Vocabulary.from_names(["cat", "dog"]))
    assert error.value.shown == "'dog'" and isinstance(error.value, FileNotFoundError)
    many = Vocabulary.from_names(f"word {number}" for number in range(30))
    with pytest.raises(MissingWords, match="'word 4' and 25 more words: "):
        encoder(many)


@pytest.fixture
def texts():
    """Classes of one to three words, padded with the first as text encoders do."""
    texts = F.normalize(torch.randn(50, 3, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    for label in range(50):
        texts[label, 1 + label % 3 :] = texts[label, 0]
    return texts


def without_padding(texts):
    counts = torch.arange(len(texts)) % 3 + 1
    rows = [texts[label, :count] for label, count in enumerate(counts.tolist())]
    return ClassTexts(torch.cat(rows), torch.arange(len(texts)).repeat_interleave(counts), len(texts))


@pytest.mark.parametrize("at_once", [1, 40, 1000, 2**25])
def test_logits_do_not_depend_on_how_many_are_computed_together(texts, monkeypatch, at_once):
    embeddings = F.normalize(torch.randn(7, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    expected = F.pad(torch.einsum("ne,cpe->ncp", embeddings, texts).amax(-1) * 100, (0, 1))
    monkeypatch.setattr(classifier, "SIMILARITIES", at_once)
    torch.testing.assert_close(text_logits(embeddings[None], texts, 100.0)[0], expected)
    torch.testing.assert_close(without_padding(texts).logits(embeddings, 100.0), expected)
    torch.testing.assert_close(ClassTexts.of_padded(texts).logits(embeddings, 100.0), expected)
    assert text_logits(embeddings[None, :0], texts, 100.0).shape == (1, 0, 51)


def test_class_texts_are_those_of_the_words(encoder):
    words = Vocabulary(
        [Category("cat", synonyms=("kitten", "pet")), Category("dog"), Category("fox", synonyms=("pet",))]
    )
    padded, texts = encoder(words), encoder.class_texts(words)
    assert texts.owners.tolist() == [0, 0, 0, 1, 2, 2] and texts.num_classes == 3
    assert torch.equal(texts.words[[0, 2, 3, 5]], padded[[0, 0, 1, 2], [0, 2, 0, 1]])
    assert encoder.class_texts(Vocabulary()).words.shape == (0, 24)
