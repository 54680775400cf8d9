import runpy
from pathlib import Path

import pytest

from omgseg.models.omgseg import text_encoder as text_encoder_module
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary

TOOL = Path(__file__).parents[3] / "tools" / "text_embeddings.py"


@pytest.fixture
def main():
    return runpy.run_path(str(TOOL))["main"]


@pytest.fixture
def words(tmp_path):
    Vocabulary.from_names(["cat", "dog"]).save(tmp_path / "words.json")
    return str(tmp_path / "words.json")


def test_fills_the_cache_so_that_no_tower_is_needed(
    main, words, tiny_clip, tiny_weights, tmp_path, monkeypatch, capsys
):
    arguments = ["--vocabulary", words, "--model", tiny_clip, "--pretrained", tiny_weights]
    arguments += ["--cache-dir", str(tmp_path / "cache"), "--templates", "plain"]
    assert main(arguments) == 0
    assert "2 categories, embeddings (2, 24)" in capsys.readouterr().out
    monkeypatch.setattr(text_encoder_module, "_build_text_tower", None)
    assert main(arguments) == 0


def test_takes_encoder_and_vocabularies_from_a_config(main, words, tiny_clip, tiny_weights, tmp_path, capsys):
    class SomeWords:
        vocabulary = Vocabulary.from_names(["car", "road", "sky"])

    encoder = dict(
        type="CLIPTextEncoder", model_name=tiny_clip, pretrained=tiny_weights, cache_dir=str(tmp_path)
    )
    config = tmp_path / "config.py"
    config.write_text(
        f"model = dict(text_encoder={encoder!r})\ntrain_dataloader = dict(dataset=dict(type='SomeWords'))\n"
    )
    DATASETS.register_module(name="SomeWords", module=SomeWords)
    try:
        assert main([str(config)]) == 0
    finally:
        DATASETS.module_dict.pop("SomeWords")
    assert "train_dataloader: 3 categories" in capsys.readouterr().out
    assert main([str(config), "--vocabulary", words]) == 0
    assert f"{words}: 2 categories" in capsys.readouterr().out


def test_random_weights_and_missing_arguments_are_refused(main, words, tiny_clip, tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(f"model = dict(text_encoder=dict(type='CLIPTextEncoder', model_name={tiny_clip!r}))\n")
    assert main([str(config), "--vocabulary", words]) == 1
    assert "random weights" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--vocabulary", words])
    assert "--pretrained" in capsys.readouterr().err
