"""Both stages of OV-SAM's training."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from omgseg.datasets import load_vocabulary
from omgseg.engine import check_arguments
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.projects.ov_sam import OVSamSegmenter
from omgseg.projects.ov_sam.published import lvis_base_words
from omgseg.projects.ov_sam.training import CoTrainingConfig, choose_prompts, class_loss, co_training_losses
from omgseg.registry import DATASETS, MODELS
from omgseg.structures import Vocabulary
from omgseg.toy import architecture
from omgseg.toy.image_files import lvis_vocabulary, write_lvis
from omgseg.toy.world import World

CONFIGS = Path(__file__).parents[1] / "configs"
SIDE = 64
WORDS = Vocabulary.from_names(["cat", "dog", "sky"])


@pytest.fixture(scope="module")
def config():
    architecture.register()
    clip = dict(model_name=architecture.MODEL_NAME, pretrained=None)
    sizes = dict(image_size=SIDE, embed_dim=32, stride=8)
    return dict(
        type="OpenVocabularySAM",
        image_encoder=dict(
            type="OVSamImageEncoder",
            trunk=dict(type="ClipConvNeXt", **clip),
            **sizes,
            width=32,
            depth=1,
            num_heads=2,
        ),
        prompt_encoder=dict(type="SamPromptEncoder", **sizes),
        mask_decoder=dict(type="LabelMaskDecoder", embed_dim=32, clip_dim=64, num_heads=2, mlp_dim=64),
        regions=dict(type="RegionEmbedder", channels=16, size=4, finest_scale=16),
        text_encoder=dict(type="CLIPTextEncoder", **clip, templates="plain"),
        train_cfg=dict(num_prompts=6, num_points=64),
    )


def build(config, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS.build({**config, **changes})
    if hasattr(model, "set_vocabulary"):
        model.set_vocabulary(WORDS)
    return model.train()


@pytest.fixture(scope="module")
def stage_1(config):
    """Its config."""
    parts = {key: config[key] for key in ("image_encoder", "prompt_encoder")}
    decoder = dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32)
    return dict(type="Sam2ClipDistillation", **parts, mask_decoder=decoder)


def picture(labels=(0, 1), masks=True, size=(SIDE, SIDE)):
    """A batch of one image with squares on noise, and its sample."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 3, *size), np.uint8))
    squares = torch.zeros(len(labels), *size, dtype=torch.bool)
    for number, square in enumerate(squares):
        square[8 + 20 * number : 28 + 20 * number, 10:40] = True
        pixels[0, 0, :, square] = 255 * number
    boxes = [[10, 8 + 20 * number, 40, 28 + 20 * number] for number in range(len(labels))]
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, img_path="a.jpg", source="toy"))
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    sample.gt_instances = InstanceData(labels=torch.tensor(labels, dtype=torch.long), bboxes=boxes)
    if masks:
        sample.gt_instances.masks = squares
    return pixels, sample


def losses_of(model, *samples):
    torch.manual_seed(0)
    images, samples = zip(*samples, strict=True)
    return model(torch.cat(images), list(samples), mode="loss")


def test_stage_2_learns_regions_and_decoder_alone(config):
    model = build(config)
    before = copy.deepcopy(model.state_dict())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    totals = []
    for _ in range(10):
        losses = losses_of(model, picture())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        totals.append({name: value.item() for name, value in losses.items()})
    assert set(totals[0]) == {"loss_cls", "loss_mask", "loss_dice"}
    assert totals[-1]["loss_cls"] < 0.1 * totals[0]["loss_cls"]
    assert sum(totals[-1].values()) < 0.9 * sum(totals[0].values())
    after = model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert all(name.startswith(("regions.", "mask_decoder.")) for name in changed)
    assert {"regions.projection.weight", "mask_decoder.label_token.weight"} <= changed
    assert not model.image_encoder.trunk.training


@pytest.mark.parametrize("published", [False, True])
def test_the_label_token_learns_names_unless_as_published(config, published):
    model = build(config, published=published)
    losses_of(model, picture())["loss_cls"].backward()
    assert (model.mask_decoder.label_mlp.layers[0].weight.grad is None) == published


def test_the_adapter_learns_where_no_distillation_has_trained_it(config):
    model = build(config, train_adapter=True)
    sum(losses_of(model, picture()).values()).backward()
    assert model.image_encoder.adapter.neck[0].weight.grad.any()
    assert not any(parameter.requires_grad for parameter in model.image_encoder.trunk.parameters())


def test_half_of_the_prompts_are_points():
    torch.manual_seed(0)
    _, sample = picture()
    prompts = choose_prompts(sample, 2 * SIDE, 40)
    assert len(prompts.labels) == 40 and int(prompts.is_point.sum()) == 20
    assert prompts.labels.bincount().tolist() == [20, 20]
    assert prompts.masks.shape == (40, 2 * SIDE, 2 * SIDE)
    rows = sample.gt_instances.masks[prompts.labels]
    assert torch.equal(prompts.masks[:, :SIDE, :SIDE], rows)
    assert torch.equal(prompts.boxes, sample.gt_instances.bboxes[prompts.labels])


def test_more_objects_than_prompts_are_chosen_from():
    torch.manual_seed(0)
    _, sample = picture(labels=(0, 1))
    chosen = [int(choose_prompts(sample, SIDE, 1).labels) for _ in range(20)]
    assert set(chosen) == {0, 1}


def test_boxes_without_masks_teach_names_alone(config):
    model = build(config)
    _, sample = picture(masks=False)
    prompts = choose_prompts(sample, SIDE, 6)
    assert not prompts.is_point.any() and not prompts.masks.any()
    losses = losses_of(model, picture(masks=False))
    assert losses["loss_cls"] > 0 and losses["loss_mask"] == losses["loss_dice"] == 0
    sum(losses.values()).backward()
    assert model.regions.projection.weight.grad.any()


def test_an_image_without_objects_teaches_nothing(config):
    model = build(config)
    losses = losses_of(model, picture(labels=()))
    assert all(value == 0 for value in losses.values())
    with_objects = losses_of(model, picture())
    both = losses_of(model, picture(), picture(labels=()))
    assert both["loss_dice"].item() == pytest.approx(with_objects["loss_dice"].item(), rel=1e-4)


def test_objects_without_a_class_teach_masks_alone(config):
    losses = losses_of(build(config), picture(labels=(-1, -1)))
    assert losses["loss_cls"] == 0 and losses["loss_dice"] > 0


def test_the_background_counts_a_tenth():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.5, 3.0, 0.0]])
    apart = [float(class_loss(logits[i : i + 1], torch.tensor([label]))) for i, label in ((0, 0), (1, 2))]
    together = float(class_loss(logits, torch.tensor([0, 2])))
    assert together == pytest.approx((apart[0] + 0.1 * apart[1]) / 1.1)


def test_only_masks_that_are_there_are_compared():
    masks = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    masks[0, 10:30, 10:30] = True
    logits = torch.stack([torch.linspace(-2, 2, 256).view(16, 16), torch.full((16, 16), 9.0)])
    settings = CoTrainingConfig(num_points=500)

    def dice(count):
        torch.manual_seed(0)
        given = torch.zeros(count, 3), torch.arange(count), logits[:count], masks[:count]
        return float(co_training_losses(*given, settings, published=False)["loss_dice"])

    assert dice(2) == pytest.approx(dice(1)) and dice(1) > 0


@pytest.fixture(scope="module")
def teacher(config, stage_1, tmp_path_factory):
    """A file of weights of a SAM whose positions fit the adapter."""
    encoder = dict(
        type="SamImageEncoder", image_size=SIDE, patch_size=8, width=32, depth=1, num_heads=2, embed_dim=32
    )
    parts = {key: stage_1[key] for key in ("prompt_encoder", "mask_decoder")}
    model = build(dict(type="SAM", image_encoder=encoder, **parts))
    path = tmp_path_factory.mktemp("teacher") / "sam.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def distilled(stage_1, teacher, tmp_path_factory):
    """A model of stage 1, and a file of its weights."""
    model = build(stage_1, teacher=str(teacher))
    model.init_weights()
    path = tmp_path_factory.mktemp("sam2clip") / "iter_1.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    return model, path


def test_stage_1_learns_the_adapter_alone(distilled, teacher):
    model = distilled[0].train()
    positions = torch.load(teacher, weights_only=True)["image_encoder.pos_embed"]
    assert torch.equal(model.image_encoder.adapter.pos_embed, positions)
    trunk = model.image_encoder.trunk
    assert not trunk.training and not model.mask_decoder.training
    assert (model.pixel_mean.flatten() / 255).tolist() == pytest.approx(trunk.mean)
    image, sample = picture(size=(48, SIDE))
    sample.set_field(torch.randn(32, 8, 8).half(), "teacher_embedding", dtype=torch.Tensor)
    sample.set_metainfo(dict(teacher=model.teacher_sha256))
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learned and all(name.startswith("image_encoder.adapter.") for name in learned)
    optimizer = torch.optim.AdamW([model.get_parameter(name) for name in learned], lr=1e-3)
    losses = []
    for _ in range(8):
        loss = losses_of(model, (image, sample))["loss_embedding"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_stage_2_starts_with_stage_1(config, distilled):
    model = build(config, sam2clip=str(distilled[1]))
    own = model.state_dict()["regions.projection.weight"].clone()
    model.init_weights()
    taken, given = model.state_dict(), torch.load(distilled[1], weights_only=True)["state_dict"]
    for name in ("image_encoder.adapter.pos_embed", "mask_decoder.transformer.norm_final_attn.weight"):
        assert torch.equal(taken[name], given[name])
    assert torch.equal(taken["mask_decoder.mask_tokens.weight"], given["mask_decoder.mask_tokens.weight"][:1])
    kernel = "mask_decoder.output_hypernetworks_mlps.0.layers.0.weight"
    assert torch.equal(taken[kernel], given[kernel])
    assert torch.equal(taken["regions.projection.weight"], own)


def test_another_file_is_no_stage_1(config, stage_1, distilled, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        build(config, sam2clip="gone.pth").init_weights()
    weights = torch.load(distilled[1], weights_only=True)["state_dict"]
    adapter = {name: value for name, value in weights.items() if "adapter" in name}
    torch.save(adapter, tmp_path / "adapter.pth")
    with pytest.raises(CheckpointError, match=r"adapter\.pth is no SAM2CLIP checkpoint (.|\n)*mask_decoder"):
        build(config, sam2clip=str(tmp_path / "adapter.pth")).init_weights()


def test_a_checkpoint_brings_its_words(config, tmp_path):
    model = build(config)
    meta = dict(train_vocabulary=json.dumps(WORDS.to_dict()))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / "words.pth")

    def words(**changes):
        given = dict(model={**config, **changes})
        return OVSamSegmenter(given, str(tmp_path / "words.pth"), torch.device("cpu")).model.base_words

    assert words() == WORDS
    assert words(base_words=["bird"]).names == ["bird"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    scenes = (World(np.random.default_rng(number)).image_scene() for number in range(3))
    write_lvis(root / "coco", scenes, first_id=1)
    lvis_vocabulary().save(root / "lvis_v1.json")
    return root


def test_the_base_words_of_lvis_are_the_frequent_and_the_common_ones(data, monkeypatch, tmp_path):
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data))
    path = data / "coco" / "annotations" / "lvis_v1_val.json"
    words = lvis_base_words(str(path))
    everything = load_vocabulary("lvis_v1")
    content = json.loads(path.read_text())
    rare = {entry["id"] for entry in content["categories"] if entry["frequency"] == "r"}
    assert rare and {word.id for word in words} == {word.id for word in everything} - rare
    other = tmp_path / "instances_val2017.json"
    other.write_text('{"categories": [{"id": 1, "name": "cat"}]}')
    with pytest.raises(ValueError, match=r"instances_val2017\.json is no annotation file of LVIS v1"):
        lvis_base_words(str(other))


NAMES = ("sam2clip", "clip2sam_coco", "clip2sam_lvis", "clip2sam_22k", "ov_sam_lvis")


@pytest.mark.parametrize("name", NAMES)
def test_a_config_names_arguments_that_exist(name):
    config = Config.fromfile(CONFIGS / f"{name}.py")
    check_arguments(config)
    trunk, text = config.model.image_encoder.trunk, config.model.get("text_encoder", {})
    trunk.pretrained = text["pretrained"] = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    adapter = sum(parameter.numel() for parameter in model.image_encoder.adapter.parameters())
    if name == "sam2clip":
        assert learned == adapter
    else:
        assert learned == sum(
            parameter.numel()
            for part in (model.regions, model.mask_decoder)
            for parameter in part.parameters()
        )


def test_the_training_on_lvis_sees_base_words_alone(data, monkeypatch):
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data))
    dataset = Config.fromfile(CONFIGS / "clip2sam_lvis.py").train_dataloader.dataset
    dataset.ann_file = "annotations/lvis_v1_val.json"  # the toy world has no other
    found = DATASETS.build(dataset)
    base = lvis_base_words(str(data / "coco" / dataset.ann_file))
    assert found.vocabulary == base
    labels = torch.cat([found[index]["data_samples"].gt_instances.labels for index in range(len(found))])
    assert len(labels) and labels.max() < len(base)


def test_the_training_on_coco_sees_the_48_base_classes():
    config = Config.fromfile(CONFIGS / "clip2sam_coco.py")
    only = set(config.train_dataloader.dataset.only.id)
    words = Vocabulary(word for word in load_vocabulary("coco_panoptic") if word.id in only)
    assert len(words) == len(config.model.base_words) == 48
    assert all(words.shares_word_with(Vocabulary.from_names(config.model.base_words)))
