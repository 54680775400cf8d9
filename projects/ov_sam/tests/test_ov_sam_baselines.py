"""SAM's masks named by a separate CLIP, from crops of the image or of its features; and what this costs."""

import cv2
import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import ConfigError
from omgseg.engine.model_cost import model_cost
from omgseg.inference.evaluating import with_segmenter
from omgseg.projects.ov_sam import costs
from omgseg.projects.ov_sam.baselines import square_around
from omgseg.protocols import MaskNamer, PromptableModel, Prompts, Request
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks
from omgseg.toy import MODEL_NAME, TINY, generate

RESNET = """{"embed_dim": 32, "quick_gelu": true,
 "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": null},
 "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}}"""
WORDS = Vocabulary.from_names(["cat", "dog", "sky"])
SIZES = dict(image_size=64, embed_dim=32)
SAM = dict(
    type="SAM",
    data_preprocessor=dict(type="ClipPreprocessor"),
    image_encoder=dict(type="SamImageEncoder", **SIZES, width=32, depth=1, num_heads=2, global_layers=(0,)),
    prompt_encoder=dict(type="SamPromptEncoder", **SIZES),
    mask_decoder=dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=32, iou_hidden_dim=32),
)
KINDS = ("ImageCropNamer", "FeatureCropNamer")
TRUNKS = {"ClipResNet": "omgseg_test_resnet_alone", "ClipConvNeXt": MODEL_NAME}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """By trunk: a small CLIP with random weights, and the file that has them."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / f"{TRUNKS['ClipResNet']}.json").write_text(RESNET)
    open_clip.add_model_config(folder)
    found = {}
    for trunk, name in TRUNKS.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = open_clip.create_model(name).eval()
        for parameter_name, parameter in model.visual.named_parameters():
            if parameter_name.endswith("bn3.weight"):  # open_clip starts with 0, by which blocks do nothing
                parameter.data.fill_(1.0)
        torch.save(model.state_dict(), folder / f"{name}.pt")
        found[trunk] = model, str(folder / f"{name}.pt")
    return found


@pytest.fixture(scope="module")
def sam_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("sam") / "sam.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(MODELS.build(SAM).state_dict(), file)
    return str(file)


@pytest.fixture(scope="module")
def load(clips, sam_file):
    """``load(kind, trunk, **options)``: a baseline behind the seam."""

    def make(kind, trunk, weights=sam_file, **options):
        clip = dict(model_name=TRUNKS[trunk], pretrained=clips[trunk][1])
        segmenter = dict(
            type=kind,
            clip=dict(type=trunk, **clip),
            text_encoder=dict(type="CLIPTextEncoder", **clip, templates="plain"),
            **options,
        )
        return omgseg.load(dict(model=SAM, segmenter=segmenter), weights, device="cpu")

    return make


@pytest.fixture(autouse=True)
def text_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path))


def photo(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def rectangle(size, y1, y2, x1, x2):
    pixels = np.zeros((1, *size), bool)
    pixels[:, y1:y2, x1:x2] = True
    return encode_masks(pixels)


def as_clip_says(clip, name, crop):
    """Probabilities of the words for a picture, by open_clip alone."""
    mean, std = (
        torch.tensor(x).view(3, 1, 1) for x in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    pixels = (torch.from_numpy(crop).permute(2, 0, 1) / 255 - mean) / std
    tokens = open_clip.get_tokenizer(name)(WORDS.names)
    with torch.no_grad():
        image = clip.encode_image(pixels[None].float(), normalize=True)
        return (100 * image @ clip.encode_text(tokens, normalize=True).T).softmax(-1).numpy()


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_crop_is_named_as_clip_names_it(load, clips, trunk):
    """Of CLIP's own size, so that nothing is resized: the crop in a larger image, and the image as its own crop."""
    clip = clips[trunk][0]
    side = 64 if trunk == "ClipResNet" else 48
    image = photo(90, 120)
    crop = np.ascontiguousarray(image[10 : 10 + side, 30 : 30 + side])
    expected = as_clip_says(clip, TRUNKS[trunk], crop)
    segmenter = load("ImageCropNamer", trunk)
    mask = rectangle((90, 120), 10, 10 + side, 30 + side // 4, 30 + side - side // 4)
    found = segmenter.name_masks(segmenter.encode_image(image), mask, WORDS)
    assert found == pytest.approx(expected, abs=1e-5)
    segmenter = load("FeatureCropNamer", trunk, image_size=side)
    found = segmenter.name_masks(
        segmenter.encode_image(crop), rectangle((side, side), 0, side, 0, side), WORDS
    )
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trunk", TRUNKS)
def test_names_are_probabilities_of_each_mask(load, kind, trunk):
    segmenter = load(kind, trunk)
    assert isinstance(segmenter, PromptableModel) and isinstance(segmenter, MaskNamer)
    assert segmenter.abilities.open_vocabulary and Task.INTERACTIVE in segmenter.abilities.tasks
    image = photo(70, 100)
    state = segmenter.encode_image(image)
    size = image.shape[:2]
    masks = rectangle(size, 5, 30, 10, 40) + rectangle(size, 40, 68, 30, 99) + rectangle(size, 0, 0, 0, 0)
    names = segmenter.name_masks(state, masks, WORDS)
    assert names.shape == (3, 3) and names.dtype == np.float32
    assert names[:2].sum(1) == pytest.approx(1) and not np.allclose(names[0], names[1]) and not names[2].any()
    assert segmenter.name_masks(state, masks[1:2], WORDS)[0] == pytest.approx(names[1], abs=1e-5)
    assert segmenter.name_masks(state, [], WORDS).shape == (0, 3)
    assert segmenter.name_masks(state, masks, Vocabulary()).shape == (3, 0)
    prompts = Prompts(boxes=np.array([[5, 5, 40, 30]], np.float32))
    alone = segmenter.masks.segment_prompts(segmenter.masks.encode_image(image), prompts)
    assert segmenter.segment_prompts(state, prompts).rles == alone.rles
    (everything,) = segmenter.predict([image], Request(Task.EVERYTHING))
    assert everything.task is Task.EVERYTHING


def test_without_weights_no_file_is_read(load, clips, monkeypatch):
    monkeypatch.setitem(clips, "ClipResNet", (None, "no/such/file.pt"))
    with pytest.raises(FileNotFoundError, match="no/such/file"):
        load("ImageCropNamer", "ClipResNet")
    load("ImageCropNamer", "ClipResNet", weights="random")


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((10, 20, 30, 25), (12, 32), (10, 30)),
        ((0, 0, 4, 10), (0, 10), (0, 10)),
        ((70, 48, 80, 60), (48, 60), (68, 80)),
        ((0, 10, 80, 20), (0, 60), (0, 80)),
    ],
    ids=["wide", "moved right", "moved left", "longer than the image is high"],
)
def test_crops_are_squares_inside_of_the_image(box, rows, columns):
    y, x = np.mgrid[:60, :80]
    crop = square_around(np.array(box, float), np.stack([y, x], -1))
    assert (crop[0, 0].tolist(), crop[-1, -1].tolist()) == (
        [rows[0], columns[0]],
        [rows[1] - 1, columns[1] - 1],
    )


@pytest.fixture(scope="module")
def toy_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    generate(folder / "data", sizes=TINY)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_benchmark_on_the_toy_world(kind, clips, sam_file, toy_world, tmp_path, monkeypatch):
    """The paper's protocol with base and novel words, for a baseline's config."""
    monkeypatch.setenv("OMGSEG_TOY", str(toy_world))
    name = "image" if kind == "ImageCropNamer" else "feature"
    config = Config.fromfile(f"projects/ov_sam/configs/toy_baseline_{name}_crop.py")
    config.model = SAM
    config.segmenter.clip.pretrained = config.segmenter.text_encoder.pretrained = clips["ClipConvNeXt"][1]
    config.dump(tmp_path / "baseline.py")
    benchmark = Config.fromfile("projects/ov_sam/configs/toy_protocol.py")
    benchmark.work_dir, benchmark.log_level = str(tmp_path / "run"), "ERROR"
    outcome = run_benchmark(with_segmenter(benchmark, str(tmp_path / "baseline.py"), sam_file))
    assert outcome.listed.keys() <= outcome.metrics.keys()
    assert not outcome.note and all(
        0 <= outcome.metrics[name] <= 100 for name in ("naming/Acc_box", "naming/mIoU_centre")
    )


def test_costs_are_those_of_the_parts():
    """The parts of SAM, and CLIP once for an image or for each box."""
    image, feature = (
        Config.fromfile(f"projects/ov_sam/configs/toy_baseline_{name}_crop.py")
        for name in ("image", "feature")
    )
    sam = {part.name: part.flops // 2 for part in model_cost(image.model, (256, 256), 1)}
    side, of_crop = feature.segmenter.image_size, 48
    image, feature = costs.cost_of(image), costs.cost_of(feature)
    assert image.per_image == sam["image_encoder"] and image.parameters == feature.parameters
    clip_crop = image.per_prompt - feature.per_prompt
    clip_image = feature.per_image - image.per_image
    assert clip_image == pytest.approx(clip_crop * (side / of_crop) ** 2), (
        "a convolution's cost is that of its area"
    )
    assert feature.per_prompt > sam["mask_decoder"]


def test_costs_of_the_published_sizes():
    ours, feature = (
        costs.cost_of(Config.fromfile(f"projects/ov_sam/configs/{name}.py"))
        for name in ("ov_sam_coco", "baseline_feature_crop")
    )
    assert ours.per_image == pytest.approx(1180e9, rel=0.01), "the paper's figure"
    assert ours.per_image + 10 * ours.per_prompt < 0.6 * (feature.per_image + 10 * feature.per_prompt)


def test_the_table_of_costs(tmp_path, capsys):
    file = tmp_path / "table.md"
    costs.main(["projects/ov_sam/configs/toy_baseline_image_crop.py", "--out", str(file)])
    assert "| toy_baseline_image_crop |" in file.read_text() and file.read_text() == capsys.readouterr().out
    with pytest.raises(ConfigError, match="is neither an OpenVocabularySAM nor one of its baselines"):
        costs.main(["configs/sam/sam_vit_b.py"])


@pytest.mark.parametrize("name", ["image_crop", "feature_crop"])
def test_words_and_images_are_of_one_clip(name):
    for clip in ("", "_convnext_l"):
        config = Config.fromfile(f"projects/ov_sam/configs/baseline_{name}{clip}.py")
        given, text = config.segmenter.clip, config.segmenter.text_encoder
        assert (given.model_name, given.pretrained) == (text.model_name, text.pretrained)
        assert config.model.image_encoder.depth == 32 and config.segmenter.type.lower().startswith(
            name.replace("_", "")
        )
