"""MaskCLIP behind the seam, with small CLIPs of each kind."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from safetensors.torch import save_file

from omgseg.cli.main import main as cli
from omgseg.inference import load
from omgseg.model_table import read_table
from omgseg.projects.mask_clip.adapter import TEMPLATES
from omgseg.projects.mask_clip.dense_clip import DenseClip
from omgseg.projects.mask_clip.refinement import denoise_prompts, key_affinity, smooth_keys
from omgseg.projects.mask_clip.toy_proof import CORRUPTIONS, TABLES, VARIANTS, corrupted, main, report
from omgseg.protocols import Request, Segmenter
from omgseg.structures import Category, Task, Vocabulary

PROJECT = Path(__file__).parents[1]
TEXT = dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1)
TINY = {
    "mask_clip_vit": dict(image_size=32, patch_size=8, width=32, layers=2, head_width=16, mlp_ratio=2),
    "mask_clip_resnet": dict(image_size=32, width=8, layers=[1, 1, 1, 1], head_width=16),
    "mask_clip_pooled": dict(image_size=32, patch_size=8, width=32, layers=1, head_width=16, pool_type="avg"),
}
WORDS = Vocabulary.from_names(["red dog", "blue_or_grey sky", "road"])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Name -> file of a small CLIP of open_clip with random weights."""
    folder = tmp_path_factory.mktemp("clips")
    files = {}
    for name, vision in TINY.items():
        config = folder / f"{name}.json"
        config.write_text(json.dumps(dict(embed_dim=24, vision_cfg=vision, text_cfg=TEXT, quick_gelu=True)))
        open_clip.add_model_config(config)
        torch.manual_seed(0)
        model = open_clip.create_model(name)
        files[name] = folder / f"{name}.safetensors"
        save_file(model.state_dict(), files[name])
    return files


def loaded(tiny, name, **options):
    config = Config.fromfile(PROJECT / "configs" / "vit_b16.py")
    config.segmenter.update(dict(model_name=name, templates="plain", scale=(96, 64), **options))
    return load(config, tiny[name], device="cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)


@pytest.mark.parametrize("name", ["mask_clip_vit", "mask_clip_resnet"])
@pytest.mark.parametrize(
    "options", [{}, dict(denoising=0.01, smoothing=1.0), dict(smoothing=0.9, published=True)]
)
def test_every_pixel_belongs_to_a_word(tiny, image, name, options, tmp_path):
    model = loaded(tiny, name, cache_dir=str(tmp_path), **options)
    assert isinstance(model, Segmenter)
    assert model.group_key(image.shape[:2]) == (64, 88 if name == "mask_clip_vit" else 96)
    one, other = model.predict([image, image[:, ::-1].copy()], Request(Task.SEMANTIC, WORDS))
    assert one.areas.sum() == image[..., 0].size
    lowest = 0 if options else 1 / len(WORDS)  # smoothed values are no distribution
    assert (one.scores >= lowest).all() and (one.scores <= 1).all()
    again = model.predict([image], Request(Task.SEMANTIC, WORDS))[0]
    assert np.mean(again.label_map == one.label_map) > 0.99 and one != other


def test_the_command_needs_words_alone(tiny, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "street.png")
    config = tmp_path / "tiny.py"
    options = dict(model_name="mask_clip_vit", pretrained=str(tiny["mask_clip_vit"]), templates="plain")
    config.write_text(
        f"_base_ = [{str(PROJECT / 'configs' / 'vit_b16.py')!r}]\nsegmenter = dict(**{options})\n"
    )
    command = ["predict", str(tmp_path / "street.png"), "--config", str(config), "--device", "cpu"]
    words = ["--vocabulary", "red dog, road", "--stuff", "sky", "--background", "none", "--format", "json"]
    assert cli([*command, *words, "--out", str(tmp_path / "found")]) == 0
    found = json.loads((tmp_path / "found" / "street.json").read_text())
    assert found["task"] == "semantic"


def test_no_word_stays_where_all_are_denoised(tiny, image):
    words = Vocabulary([Category("dog"), Category("dog", is_thing=False)])  # each has one half at best
    (found,) = loaded(tiny, "mask_clip_vit", denoising=0.6).predict([image], Request(Task.SEMANTIC, words))
    assert len(found) == 0 and found.size == (50, 70)


def test_a_single_position_is_pooled_to_its_own_value(tiny):
    """CLIP's pools and the dense features agree where there is one position, and no code of it."""
    pixels = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(1))
    dense = DenseClip("mask_clip_resnet", str(tiny["mask_clip_resnet"]))
    dense.tower.attnpool.positional_embedding.zero_()
    with torch.no_grad():
        pooled = dense.tower(pixels)
    assert torch.allclose(dense(pixels).embeddings[:, :, 0, 0], pooled, atol=1e-5)
    toy = DenseClip("omgseg_toy")
    whole = open_clip.create_model("omgseg_toy").eval()
    whole.visual.load_state_dict({**whole.visual.state_dict(), **names_of_open_clip(toy.tower.state_dict())})
    with torch.no_grad():
        pooled = whole.encode_image(pixels[:, :, :8, :8], normalize=True)
    assert torch.allclose(toy(pixels[:, :, :8, :8]).embeddings[:, :, 0, 0], pooled, atol=1e-5)


def names_of_open_clip(weights):
    parts = {"pooling_head": "trunk.head", "projection": "head"}
    names = {name: name.partition(".") for name in weights if "." in name}
    return {
        f"{parts.get(part, f'trunk.{part}')}.{rest}": weights[name] for name, (part, _, rest) in names.items()
    }


@pytest.mark.parametrize("published", [False, True])
def test_a_vit_takes_any_size_and_keeps_places(tiny, published):
    dense = DenseClip("mask_clip_vit", str(tiny["mask_clip_vit"]), published=published)
    pixels = torch.randn(1, 3, 24, 40, generator=torch.manual_seed(1))
    changed = pixels.clone()
    changed[:, :, 8:16, 24:32] += 3
    before, after = dense(pixels), dense(changed)
    assert before.embeddings.shape == (1, 24, 3, 5) and before.keys.shape == (1, 32, 3, 5)
    for one, other in zip(before, after, strict=True):
        assert (one - other).norm(dim=1).argmax() == 1 * 5 + 3


def test_smoothing_replaces_unsure_positions_alone():
    logits = torch.tensor([[[[0.9, 0.5, 0.5]], [[0.1, 0.5, 0.501]]]])
    keys = torch.tensor([[[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]])
    smooth = smooth_keys(logits, keys, 0.9)[0, :, 0]
    assert torch.allclose(smooth.sum(0), torch.ones(3))
    assert torch.allclose(smooth[0], torch.tensor([1.0, 0.75, 0.475]), atol=1e-3)
    assert torch.allclose(key_affinity(keys)[0, 0], torch.tensor([1.0, 1.0, 0.0]))
    assert torch.isfinite(smooth_keys(logits, torch.zeros_like(keys), 1.0)).all()


def test_denoising_looks_at_the_best_position():
    logits = torch.tensor([[[[0.9, 0.1]], [[0.1, 0.9]], [[0.8, 0.8]]]])
    denoised, present = denoise_prompts(logits, 0.5)
    assert present.tolist() == [[True, True, False]]
    assert (denoised[:, 2] == -100).all() and denoised[:, :2].equal(logits[:, :2])


def test_bad_input_is_named(tiny, image, tmp_path):
    model = loaded(tiny, "mask_clip_vit")
    with pytest.raises(ValueError, match=r"no words: MaskCLIP knows none of its own; give some"):
        model.predict([image], Request(Task.SEMANTIC))
    with pytest.raises(ValueError, match="MaskCLIP offers the task 'semantic', not 'panoptic'"):
        model.predict([image], Request(Task.PANOPTIC, WORDS))
    for option in ("denoising", "smoothing"):
        with pytest.raises(ValueError, match=rf"segmenter\.{option} is 1\.5; give a probability, 0 to 1"):
            loaded(tiny, "mask_clip_vit", **{option: 1.5})
    with pytest.raises(ValueError, match="'mask_clip_pooled' does not read its class token .* take a ViT"):
        loaded(tiny, "mask_clip_pooled")
    with pytest.raises(ValueError, match="does not fit the CLIP model 'mask_clip_resnet'"):
        DenseClip("mask_clip_resnet", str(tiny["mask_clip_vit"]))
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors does not exist"):
        load(PROJECT / "configs" / "vit_b16.py", tmp_path / "gone.safetensors", device="cpu")


def test_the_published_sentences():
    assert len(set(TEMPLATES)) == 85 and all(template.count("{}") == 1 for template in TEMPLATES)


@pytest.mark.parametrize("entry", read_table(PROJECT / "models.json"), ids=lambda entry: entry.name)
def test_a_row_of_the_table_agrees_with_its_config(entry):
    with torch.device("meta"):
        model = DenseClip(Config.fromfile(entry.config).segmenter.model_name)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert entry.tasks == {Task.SEMANTIC} and entry.open_vocabulary and not entry.prompts


def test_the_toy_proof_runs_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_TOY", "")  # is restored
    runs = main(["--quick", "--seeds", "0", "--corruptions", "blur", "--work-dir", str(tmp_path)])
    (run,) = runs
    assert list(run) == list(TABLES) and list(run["refinements"]) == [*VARIANTS, "MaskCLIP+"]
    assert list(run["refinements"]["plain"]) == ["clean", "blur"]
    assert list(run["teaching"]["100 % of the labels"]) == ["clean"]
    assert list(run["zero_shot"]["MaskCLIP"]) == ["mIoU", "mIoU_seen", "mIoU_unseen", "hIoU"]
    assert (tmp_path / "table.md").read_text() == report(runs) + "\n"
    assert json.loads((tmp_path / "metrics.json").read_text()) == dict(seeds=[0], runs=runs)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_pixels_the_same_way_each_time(image, name):
    changed = corrupted(image, name, 3)
    assert changed.dtype == np.uint8 and changed.shape == image.shape
    assert np.abs(changed.astype(int) - image).mean() > 3 and np.array_equal(
        changed, corrupted(image, name, 3)
    )
