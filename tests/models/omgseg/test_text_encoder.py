import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from omgseg.models.omgseg import text_encoder as text_encoder_module
from omgseg.models.omgseg.text_encoder import TEMPLATES, TextCache, TextEncoder, resolve_templates
from omgseg.registry import MODELS
from omgseg.structures import Category, Vocabulary

TWO = ["a {}.", "one {} outside"]


def words_in(path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {word for (word,) in database.execute("SELECT word FROM words")}


@pytest.fixture
def vocabulary():
    return Vocabulary(
        [
            Category("sky", is_thing=False),
            Category("cat_or_kitten"),
            Category("teddy_bear", synonyms=("bear", "toy")),
        ]
    )


@pytest.fixture
def encoder(tiny_clip, tiny_weights, tmp_path):
    return TextEncoder(tiny_clip, tiny_weights, TWO, cache_dir=str(tmp_path))


@pytest.fixture
def no_tower(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the text tower was built")

    monkeypatch.setattr(text_encoder_module, "_build_text_tower", refuse)
    return refuse


def reference(tiny_clip, tiny_clip_model, word):
    tokens = open_clip.get_tokenizer(tiny_clip)([template.format(word) for template in TWO])
    return F.normalize(tiny_clip_model.encode_text(tokens, normalize=True).mean(0), dim=0).detach()


def test_embeddings_equal_those_of_open_clip(encoder, vocabulary, tiny_clip, tiny_clip_model):
    embeddings = encoder(vocabulary)
    assert (
        embeddings.shape == (3, 3, 24) and embeddings.dtype == torch.float32 and not embeddings.requires_grad
    )
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(3, 3))
    words = [["cat", "kitten", "cat"], ["teddy bear", "bear", "toy"], ["sky", "sky", "sky"]]
    for row, row_words in zip(embeddings, words, strict=True):
        for embedding, word in zip(row, row_words, strict=True):
            torch.testing.assert_close(embedding, reference(tiny_clip, tiny_clip_model, word))


def test_embeddings_can_be_used_in_training(encoder, vocabulary):
    queries = torch.randn(4, 24, requires_grad=True)
    (queries @ encoder(vocabulary)[:, 0].T).sum().backward()
    assert queries.grad is not None


def test_a_cached_vocabulary_needs_no_tower(
    encoder, vocabulary, tiny_clip, tiny_weights, tmp_path, no_tower, monkeypatch
):
    with pytest.raises(AssertionError, match="tower was built"):
        encoder(vocabulary)
    monkeypatch.undo()
    first = encoder(vocabulary)
    monkeypatch.setattr(text_encoder_module, "_build_text_tower", no_tower)
    again = TextEncoder(tiny_clip, tiny_weights, TWO, cache_dir=str(tmp_path))
    assert torch.equal(again(vocabulary), first)
    assert torch.equal(encoder(vocabulary), first)


def test_a_new_vocabulary_reuses_known_words(encoder, vocabulary, monkeypatch):
    encoder(vocabulary)
    seen = []
    embed = TextEncoder._embed
    monkeypatch.setattr(TextEncoder, "_embed", lambda self, words: seen.extend(words) or embed(self, words))
    encoder(Vocabulary.from_names(["bear", "dog", "sky"]))
    assert seen == ["dog"]
    assert words_in(encoder.cache_path) == {"sky", "cat", "kitten", "teddy bear", "bear", "toy", "dog"}


def test_the_cache_depends_on_model_weights_and_templates(
    encoder, vocabulary, tiny_clip, tiny_weights, tmp_path
):
    changed = tmp_path / "changed.safetensors"
    save_file({name: value + 0.01 for name, value in load_file(tiny_weights).items()}, changed)
    others = [
        TextEncoder(tiny_clip, tiny_weights, "plain", cache_dir=str(tmp_path)),
        TextEncoder(tiny_clip, str(changed), TWO, cache_dir=str(tmp_path)),
    ]
    values = [one(vocabulary) for one in (encoder, *others)]
    assert len({one.cache_path for one in (encoder, *others)}) == 3
    assert not torch.allclose(values[0], values[1]) and not torch.allclose(values[0], values[2])


def test_a_file_replaced_in_place_is_noticed(vocabulary, tiny_clip, tiny_weights, tmp_path):
    file = tmp_path / "clip.safetensors"
    tensors = load_file(tiny_weights)
    save_file(tensors, file)
    first = TextEncoder(tiny_clip, str(file), TWO, cache_dir=str(tmp_path))(vocabulary)
    save_file({name: value + 0.01 for name, value in tensors.items()}, file)
    os.utime(file, ns=(1, 1))
    assert not torch.allclose(
        TextEncoder(tiny_clip, str(file), TWO, cache_dir=str(tmp_path))(vocabulary), first
    )


@pytest.mark.parametrize("damage", ["truncate", "other size"])
def test_a_damaged_cache_file_is_written_anew(
    encoder, vocabulary, tiny_clip, tiny_weights, tmp_path, logged, damage
):
    expected = encoder(vocabulary)
    path = encoder.cache_path
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:200])
    else:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE words SET embedding = ? WHERE word = 'sky'", (b"abc",))
    again = TextEncoder(tiny_clip, tiny_weights, TWO, cache_dir=str(tmp_path))
    assert torch.equal(again(vocabulary), expected)
    assert len(logged) == 1 and f"{path} is damaged" in logged[0]
    assert len(words_in(path)) == 6
    assert path.with_name(path.name + ".damaged").is_file()


def test_a_folder_that_cannot_be_written_costs_time_and_not_the_run(
    tiny_clip, tiny_weights, vocabulary, tmp_path, logged
):
    (tmp_path / "text_embeddings").write_text("a file where the folder should be")
    encoder = TextEncoder(tiny_clip, tiny_weights, TWO, cache_dir=str(tmp_path))
    assert encoder(vocabulary).shape == (3, 3, 24)
    assert len(logged) == 1 and "not kept" in logged[0]


def test_a_locked_file_costs_time_and_not_the_run(encoder, vocabulary, monkeypatch, logged):
    encoder(Vocabulary.from_names(["cat"]))
    monkeypatch.setattr("omgseg.models.omgseg.text_encoder._LOCK_SECONDS", 0.01)
    with closing(sqlite3.connect(encoder.cache_path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert encoder(vocabulary).shape == (3, 3, 24)
    assert logged and all("locked" in message for message in logged)
    assert words_in(encoder.cache_path) == {"cat"}


def test_only_the_words_used_last_are_kept(tmp_path):
    cache = TextCache(str(tmp_path), "model", "weights", ["{}"], 4, max_words=10)
    rows = {f"word {number}": torch.full((4,), float(number)) for number in range(25)}
    cache.add(dict(list(rows.items())[:10]))
    with closing(sqlite3.connect(cache.path)) as database, database:
        database.execute("UPDATE words SET used = used - 5")  # hours ago
    assert set(cache.read(["word 3"])) == {"word 3"}
    size = cache.path.stat().st_size
    for number in range(10, 19):
        cache.add({f"word {number}": rows[f"word {number}"]})
    kept = cache.read(list(rows))
    assert set(kept) == {"word 3", *(f"word {number}" for number in range(10, 19))}
    assert all(torch.equal(kept[word], rows[word]) for word in kept)
    assert cache.path.stat().st_size == size


def test_words_in_memory_are_bounded(encoder, monkeypatch):
    monkeypatch.setattr(text_encoder_module, "WORDS_IN_MEMORY", 3)
    names = ["sky", "cat", "dog", "bear", "toy"]
    embeddings = encoder(Vocabulary.from_names(names))
    assert len(encoder._known) == 3
    assert torch.equal(encoder(Vocabulary.from_names(names)), embeddings)
    for word in ("dog", "ball", "toy", "dog", "cat"):
        encoder(Vocabulary.from_names([word]))
    assert set(encoder._known) == {"toy", "dog", "cat"}, "those used last stay"


def test_processes_share_a_file(tmp_path):
    program = f"""
import sys, torch
from omgseg.models.omgseg.text_encoder import TextCache
cache = TextCache({str(tmp_path)!r}, "model", "weights", ["{{}}"], 4)
for number in range(30):
    cache.add({{f"{{sys.argv[1]}} {{number}}": torch.ones(4)}})
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    cache = TextCache(str(tmp_path), "model", "weights", ["{}"], 4)
    assert len(cache.read([f"{name} {number}" for name in "ab" for number in range(30)])) == 60


def test_the_cache_folder_comes_from_the_environment(tiny_clip, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path / "elsewhere"))
    encoder = TextEncoder(tiny_clip, tiny_weights, "plain")
    encoder(Vocabulary.from_names(["cat"]))
    assert list((tmp_path / "elsewhere" / "text_embeddings").iterdir()) == [encoder.cache_path]


def test_offline_without_cache_and_weights_says_what_is_missing(no_network, vocabulary, tmp_path):
    encoder = TextEncoder("convnext_large_d_320", "laion2b_s29b_b131k_ft_soup", cache_dir=str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        encoder(vocabulary)
    for part in (str(encoder.cache_path), "tools/text_embeddings.py", "laion2b_s29b_b131k_ft_soup", "(2)"):
        assert part in str(error.value)


def test_offline_with_a_cache_needs_no_weights(no_network, tmp_path):
    encoder = TextEncoder("convnext_large_d_320", "laion2b_s29b_b131k_ft_soup", cache_dir=str(tmp_path))
    encoder._cache.add({"cat": F.normalize(torch.ones(768), dim=0)})
    assert encoder(Vocabulary.from_names(["Cat"])).shape == (1, 1, 768)


def test_a_random_tower_is_deterministic_loud_and_not_cached(tiny_clip, vocabulary, tmp_path, logged):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = TextEncoder(tiny_clip, None, TWO, cache_dir=str(tmp_path))(vocabulary)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    second = TextEncoder(tiny_clip, None, TWO, cache_dir=str(tmp_path))(vocabulary)
    assert torch.equal(first, second)
    assert len(logged) == 2 and "RANDOM" in logged[0]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_vocabulary_gives_an_empty_tensor(encoder, no_tower):
    assert encoder(Vocabulary([])).shape == (0, 1, 24)


def test_many_words_go_through_the_tower_in_batches(encoder, monkeypatch):
    names = [f"thing {index}" for index in range(5)]
    together = encoder(Vocabulary.from_names(names))
    monkeypatch.setattr(text_encoder_module, "_SENTENCES_AT_ONCE", 3)
    encoder._known.clear()
    encoder.cache_path.unlink()
    torch.testing.assert_close(encoder(Vocabulary.from_names(names)), together)


def test_weights_of_another_model_are_refused(tiny_clip, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"ln_final.weight": torch.ones(5)}, file)
    with pytest.raises(ValueError, match="other.safetensors does not fit the text tower"):
        TextEncoder(tiny_clip, str(file), cache_dir=str(tmp_path))(Vocabulary.from_names(["cat"]))


def test_templates():
    assert len(set(TEMPLATES["vild"])) == 14
    assert all(sentence.count("{}") == 1 for sentences in TEMPLATES.values() for sentence in sentences)
    assert resolve_templates(["my {}"]) == ("my {}",)
    for wrong in ("nonsense", [], ["no slot"], ["{} and {}"]):
        with pytest.raises(ValueError, match="template"):
            resolve_templates(wrong)


def test_is_built_from_the_registry_and_remembers_what_its_cache_is_of(tiny_clip, tiny_weights, tmp_path):
    config = {
        "type": "CLIPTextEncoder",
        "model_name": tiny_clip,
        "pretrained": tiny_weights,
        "templates": TWO,
    }
    encoder = MODELS.build({**config, "cache_dir": str(tmp_path)})
    encoder(Vocabulary.from_names(["cat"]))
    with closing(sqlite3.connect(encoder.cache_path)) as database:
        metadata = dict(database.execute("SELECT key, value FROM source"))
    assert json.loads(metadata["templates"]) == TWO and metadata["model"] == tiny_clip
    assert metadata["weights"].startswith("sha256:")
