"""OV-SAM behind the seam, the names of its masks, and its published files."""

import cv2
import numpy as np
import open_clip
import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.inference import InteractivePredictor
from omgseg.model_table import find_model, recognise
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.projects.ov_sam import OVSamSegmenter, published
from omgseg.protocols import MaskNamer, PromptableModel, Prompts, Request
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

CLIP = """{"embed_dim": 32, "quick_gelu": true,
 "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": null},
 "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}}"""
WORDS = Vocabulary.from_names(["cat", "dog", "sky"])
MERGE = "projects/ov_sam/published.py"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A small CLIP: its name, and a file of its weights."""
    folder = tmp_path_factory.mktemp("clip")
    file = folder / "omgseg_test_resnet.json"
    file.write_text(CLIP)
    open_clip.add_model_config(file)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        whole = open_clip.create_model(file.stem)
    for name, parameter in whole.visual.named_parameters():
        if name.endswith("bn3.weight"):  # open_clip starts with 0, by which blocks do nothing
            parameter.data.fill_(1.0)
    torch.save(whole.state_dict(), folder / "clip.pt")
    return file.stem, str(folder / "clip.pt")


@pytest.fixture(scope="module")
def config(clip):
    name, file = clip
    sizes = dict(image_size=64, embed_dim=32)
    return dict(
        type="OpenVocabularySAM",
        image_encoder=dict(
            type="OVSamImageEncoder",
            trunk=dict(type="ClipResNet", model_name=name, pretrained=file),
            **sizes,
            width=32,
            depth=2,
            num_heads=2,
            window_size=3,
        ),
        prompt_encoder=dict(type="SamPromptEncoder", **sizes),
        mask_decoder=dict(type="LabelMaskDecoder", embed_dim=32, clip_dim=32, num_heads=2, mlp_dim=64),
        regions=dict(type="RegionEmbedder", channels=32, size=4),
        text_encoder=dict(type="CLIPTextEncoder", model_name=name, pretrained=None, templates="plain"),
        base_words=["cat"],
    )


@pytest.fixture(scope="module")
def build(config):
    """``build(**changes)``: behind the seam, with the same random weights every time."""

    def make(**changes):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MODELS.build({**config, **changes}).eval()
        return OVSamSegmenter.from_model(model, {})

    return make


@pytest.fixture(scope="module")
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    return cv2.resize(noise, (85, 60), interpolation=cv2.INTER_CUBIC)


def mask(size, y1, y2, x1, x2):
    pixels = np.zeros((1, *size), bool)
    pixels[:, y1:y2, x1:x2] = True
    return pixels


@pytest.fixture(scope="module")
def two_masks(photo):
    size = photo.shape[:2]
    return encode_masks([*mask(size, 5, 30, 10, 40), *mask(size, 20, 58, 30, 84)])


def test_a_click_gives_a_mask_with_its_names(build, photo):
    predictor = InteractivePredictor(build(), vocabulary=["cat", "dog"])
    predictor.set_image(photo)
    result = predictor.predict(points=[[30, 20]])
    assert result.masks.shape == (1, *photo.shape[:2])
    assert list(result.names) in (["cat"], ["dog"])


def test_it_offers_what_it_does(build, photo):
    segmenter = build()
    assert isinstance(segmenter, PromptableModel) and isinstance(segmenter, MaskNamer)
    assert segmenter.abilities.open_vocabulary
    assert segmenter.abilities.tasks == {Task.INTERACTIVE, Task.EVERYTHING}
    state = segmenter.encode_image(photo)
    boxes = np.array([[5, 5, 40, 30], [30, 20, 84, 58]], np.float32)
    found = segmenter.segment_prompts(state, Prompts(boxes=boxes))
    assert len(found.rles) == 2 and found.rles[0] != found.rles[1]
    (everything,) = segmenter.predict([photo], Request(Task.EVERYTHING))
    assert everything.task is Task.EVERYTHING


def test_names_are_probabilities_of_each_mask(build, photo, two_masks):
    segmenter = build()
    state = segmenter.encode_image(photo)
    empty = encode_masks(mask(photo.shape[:2], 0, 0, 0, 0))
    names = segmenter.name_masks(state, two_masks + empty, WORDS)
    assert names.shape == (3, 3) and names.dtype == np.float32
    assert (names[:2] > 0).all() and (names[:2].sum(1) < 1).all()  # the background has the rest
    assert not np.allclose(names[0], names[1]) and not names[2].any()
    other = segmenter.name_masks(state, two_masks[:1], Vocabulary.from_names(["sky", "cat", "dog"]))
    assert other[0] == pytest.approx(names[0, [2, 0, 1]], rel=1e-4)
    assert segmenter.name_masks(state, [], WORDS).shape == (0, 3)
    assert segmenter.name_masks(state, two_masks, Vocabulary()).shape == (2, 0)


def test_many_masks_are_named_as_few(build, photo, two_masks, monkeypatch):
    segmenter = build()
    state = segmenter.encode_image(photo)
    whole = segmenter.name_masks(state, two_masks * 2, WORDS)
    monkeypatch.setattr("omgseg.projects.ov_sam.model.NAMED_AT_ONCE", 3)
    assert segmenter.name_masks(state, two_masks * 2, WORDS) == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("as_published", [False, True])
def test_the_label_token_counts_unless_as_published(build, photo, two_masks, as_published):
    segmenter = build(published=as_published, alpha=0.0, beta=0.0)
    state = segmenter.encode_image(photo)
    before = segmenter.name_masks(state, two_masks, WORDS)
    with torch.no_grad():
        segmenter.model.mask_decoder.label_mlp.layers[-1].bias.copy_(torch.arange(32.0) - 16)
    after = segmenter.name_masks(state, two_masks, WORDS)
    assert np.allclose(before, after) == as_published


def test_clip_looks_at_the_mask_unless_as_published(build, photo):
    """Boxes in pixels of the original are wrong where the image was resized, and only there."""
    ours, as_published = (build(published=flag, alpha=1.0, beta=1.0) for flag in (False, True))
    for size, same in (((64, 48), True), ((150, 200), False)):
        image = cv2.resize(photo, size[::-1])
        rles = encode_masks(mask(size, size[0] // 8, size[0] // 2, size[1] // 8, size[1] // 2))
        found = [seg.name_masks(seg.encode_image(image), rles, WORDS) for seg in (ours, as_published)]
        assert np.allclose(*found) == same


def test_seen_words_trust_clip_less(build, photo, two_masks):
    """With alpha 0 and beta 1, CLIP alone scores the unseen words, and the seen one is scored without it."""
    segmenter = build(alpha=0.0, beta=1.0)
    state = segmenter.encode_image(photo)
    before = np.log(segmenter.name_masks(state, two_masks, WORDS))
    with torch.no_grad():
        segmenter.model.regions.projection.weight.copy_(segmenter.model.regions.projection.weight.flip(0))
    after = np.log(segmenter.name_masks(state, two_masks, WORDS))
    changes = after - before
    assert changes[:, 1] == pytest.approx(changes[:, 2], abs=1e-3)
    assert not np.allclose(changes[:, 0], changes[:, 1], atol=1e-2)


def test_the_trunk_stays_as_it_is(build):
    model = build().model
    model.train()
    trunk = model.image_encoder.trunk
    assert not any(module.training for module in trunk.modules())
    assert not any(parameter.requires_grad for parameter in trunk.parameters())
    assert model.mask_decoder.training
    assert not any(name.startswith("image_encoder.trunk.") for name in model.state_dict())


def published_files(model, folder):
    """The three files of the parts, under the published names."""
    names = {
        "image_encoder.adapter.projections.": ("sam2clip", "neck_student.patch_embeds."),
        "image_encoder.adapter.": ("sam2clip", "neck_student."),
        "regions.fpn.": ("clip2sam", "fpn_neck."),
        "regions.projection.": ("clip2sam", "mask_decoder.roi_conv.0.conv."),
        "mask_decoder.label": ("clip2sam", "mask_decoder.label"),
        "mask_decoder.": ("clip2sam", "mask_decoder.mask_decoder."),
        "prompt_encoder.": ("sam", "prompt_encoder."),
    }
    files = {"sam2clip": {}, "clip2sam": {}, "sam": {"mask_decoder.iou_token.weight": torch.zeros(1, 32)}}
    for name, tensor in model.state_dict().items():
        start, (file, begin) = next((ours, names[ours]) for ours in names if name.startswith(ours))
        name = begin + name.removeprefix(start)
        if ".patch_embeds." in name:
            name = name.replace(".weight", ".projection.weight").replace(".bias", ".projection.bias")
        files[file][name] = tensor
    for file, tensors in files.items():
        torch.save(tensors, folder / f"{file}.pth")
    return {file: str(folder / f"{file}.pth") for file in files}


@pytest.fixture(scope="module")
def config_file(config, tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "small.py"
    file.write_text(
        f"default_scope = 'omgseg'\ncustom_imports = dict(imports=['omgseg.projects.ov_sam'])\nmodel = {config!r}\n"
    )
    return str(file)


def merge(files, config_file, out):
    given = [text for file, path in files.items() for text in (f"--{file}", path)]
    published.main([*given, "--config", config_file, "--out", str(out)])


def test_published_files_become_one(build, config_file, photo, tmp_path):
    segmenter = build()
    merge(published_files(segmenter.model, tmp_path), config_file, tmp_path / "whole.pth")
    loaded = omgseg.load(config_file, str(tmp_path / "whole.pth"), "cpu")
    prompts = Prompts(boxes=np.array([[5, 5, 40, 30]], np.float32))
    answers = [seg.segment_prompts(seg.encode_image(photo), prompts) for seg in (segmenter, loaded)]
    assert torch.equal(*(answer.carry.logits for answer in answers))
    names = [seg.name_masks(seg.encode_image(photo), answers[0].rles, WORDS) for seg in (segmenter, loaded)]
    assert np.array_equal(*names)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(clip2sam="sam2clip"), "sam2clip.pth does not hold OV-SAM's FPN: it holds adapter"),
        (dict(sam="sam2clip"), "sam2clip.pth does not hold OV-SAM's prompt encoder: it holds adapter"),
    ],
)
def test_a_file_in_the_place_of_another_is_named(build, config_file, tmp_path, wrong, message):
    files = published_files(build().model, tmp_path)
    files |= {place: files[other] for place, other in wrong.items()}
    with pytest.raises(CheckpointError, match=message):
        merge(files, config_file, tmp_path / "whole.pth")
    assert not (tmp_path / "whole.pth").exists()


def test_tensors_too_few_and_too_many_are_named(build, config_file, tmp_path):
    files = published_files(build().model, tmp_path)
    tensors = torch.load(files["sam2clip"], weights_only=True)
    tensors["neck_extra.weight"] = tensors.pop("neck_student.pos_embed")
    torch.save(tensors, files["sam2clip"])
    with pytest.raises(CheckpointError) as error:
        merge(files, config_file, tmp_path / "whole.pth")
    assert "image_encoder.adapter.pos_embed is missing" in str(error.value)
    assert "neck_extra.weight is unexpected" in str(error.value)


@pytest.mark.parametrize(("file", "part"), [("sam2clip", "adapter"), ("clip2sam", "FPN, mask decoder")])
def test_a_part_alone_is_no_model(build, config_file, tmp_path, file, part):
    files = published_files(build().model, tmp_path)
    with pytest.raises(CheckpointError, match=rf"part of OV-SAM \({part}\); {MERGE} merges"):
        omgseg.load(config_file, files[file], "cpu")


def test_without_weights_no_file_is_read(config):
    trunk = dict(config["image_encoder"]["trunk"], pretrained="no/such/file.pt")
    missing = {**config, "image_encoder": dict(config["image_encoder"], trunk=trunk)}
    with pytest.raises(FileNotFoundError, match="no/such/file"):
        MODELS.build(missing)
    OVSamSegmenter({"model": missing}, None, torch.device("cpu"))


def test_the_row_of_the_table_is_true():
    entry = find_model("ov-sam-coco")
    config = Config.fromfile(entry.config).model
    config.image_encoder.trunk.pretrained = config.text_encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert len(model.base_words) == 48 and model.published
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert recognise(shapes).name == entry.name


def test_a_clip_that_is_no_resnet_is_named():
    with pytest.raises(ValueError, match="'ViT-B-32' is not a ResNet"):
        MODELS.build(dict(type="ClipResNet", model_name="ViT-B-32"))
