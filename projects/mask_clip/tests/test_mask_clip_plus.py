"""MaskCLIP+: stages, labels, training and the seam, with the toy CLIP's architecture and random weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from omgseg.engine.config import check_arguments
from omgseg.inference import load
from omgseg.models.checkpoints.loading import load_state
from omgseg.projects.mask_clip.plus import (
    IGNORED,
    UNLABELLED,
    HideClasses,
    Stages,
    label_maps,
    pixel_loss,
    pseudo_labels,
)
from omgseg.protocols import Request, Segmenter
from omgseg.registry import DATASETS, MODELS
from omgseg.structures import NO_CLASS, Category, Task, Vocabulary
from omgseg.toy.writers import write_image

CONFIGS = Path(__file__).parents[1] / "configs"
WORDS = Vocabulary(
    [Category("dog"), Category("cat"), *(Category(n, is_thing=False) for n in ("sky", "rest"))]
)


def config_of(**options):
    """The toy config with random weights."""
    config = Config.fromfile(CONFIGS / "toy_plus.py")
    config.model.clip.pretrained = config.model.image_encoder.pretrained = None
    config.model.update(options)
    return config


def build(**options):
    torch.manual_seed(0)
    model = MODELS.build(config_of(**options).model)
    model.set_vocabulary(WORDS)
    return model.train()


def sample_of(labels=None, scores=None, size=(64, 96)):
    """An image whose left half is the first of `labels`, and whose next quarter is the second; None: no annotation."""
    sample = DetDataSample(metainfo=dict(img_path="a.jpg", img_shape=size, ori_shape=size))
    if labels is not None:
        masks = torch.zeros(2, *size, dtype=torch.bool)
        masks[0, :, : size[1] // 2] = masks[1, :, size[1] // 2 : 3 * size[1] // 4] = True
        sample.gt_instances = InstanceData(labels=torch.tensor(labels), masks=masks)
        if scores is not None:
            sample.gt_instances.scores = torch.tensor(scores)
    return sample


def batch_of(*samples, size=(64, 96)):
    pixels = torch.randint(0, 256, (len(samples), 1, 3, *size), generator=torch.manual_seed(1))
    return dict(inputs=pixels.byte(), data_samples=list(samples))


def test_stages_include_their_first_and_last_iteration():
    stages = Stages((1, 3), (5, None))
    found = [stages.at(iteration) for iteration in range(1, 7)]
    assert found == ["clip_guided"] * 3 + [None] + ["self_training"] * 2
    assert Stages().at(1) is None and Stages(clip_guided=(2, None)).at(10**6) == "clip_guided"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (dict(clip_guided=(1, 5), self_training=(5, None)), r"overlap: a pixel has one pseudo label"),
        (dict(clip_guided=(3, None), self_training=(1, 3)), r"overlap: a pixel has one pseudo label"),
        (dict(clip_guided=(5, 4)), r"model.clip_guided is \(5, 4\): give \(first, last\)"),
        (dict(self_training=(0, 4)), r"model.self_training is \(0, 4\): give \(first, last\)"),
    ],
)
def test_stages_that_cannot_be(stages, message):
    with pytest.raises(ValueError, match=message):
        Stages(**stages)


def test_the_labels_of_a_batch():
    names = dict(vocabulary=WORDS, hidden=[1])
    labels, weights = label_maps(sample_of([0, NO_CLASS], [0.25, 0.5]), (64, 128), **names)
    row = labels[10].tolist()
    assert row == [0] * 48 + [UNLABELLED] * 24 + [IGNORED] * 24 + [IGNORED] * 32
    assert weights[10, :72].tolist() == [0.25] * 48 + [0.5] * 24
    labels, weights = label_maps(sample_of(None), (64, 128), **names)
    assert labels[10].tolist() == [UNLABELLED] * 96 + [IGNORED] * 32 and weights.eq(1).all()
    with pytest.raises(ValueError, match=r"a.jpg has labels of 'cat', which this training must not see: put"):
        label_maps(sample_of([0, 1]), (64, 128), **names)


def test_an_image_without_any_segment_is_ignored():
    sample = sample_of([0, 0])
    sample.gt_instances = sample.gt_instances[:0]
    labels, _ = label_maps(sample, (64, 96), WORDS, [])
    assert labels.eq(IGNORED).all()


def test_pseudo_labels_are_of_the_hidden_classes_alone():
    maps = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    labels = torch.tensor([[[UNLABELLED, UNLABELLED], [0, IGNORED]]])
    assert pseudo_labels(maps, labels, [1, 2]).tolist() == [[[1, 2], [0, IGNORED]]]


def test_weights_and_unlabelled_pixels_in_the_loss():
    logits, labels = torch.randn(1, 3, 2, 2, generator=torch.manual_seed(0)), torch.tensor([[[0, 1], [2, 2]]])
    loss = pixel_loss(logits, labels)
    weights = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    parts = -logits.log_softmax(1).gather(1, labels[:, None]).flatten()
    assert torch.allclose(pixel_loss(logits, labels, weights), (parts[0] + parts[1] / 2) / 4)
    assert torch.allclose(loss, parts.mean())
    half = torch.tensor([[[0, 1], [UNLABELLED, IGNORED]]])
    assert torch.allclose(pixel_loss(logits, half), (parts[0] + parts[1]) / 4)


class Count(nn.Module):
    """A teacher that counts, and sees the first word everywhere."""

    calls = 0

    def forward(self, inputs, shapes, words):
        self.calls += 1
        self.words = len(words)
        return torch.eye(len(words))[0].view(1, -1, 1, 1).expand(len(inputs), -1, 8, 12)


def test_the_teacher_goes_when_its_stage_ends():
    model = build(clip_guided=(1, 2), self_training=(3, None), unlabelled=["cat", "rest"])
    model.teacher = Count()
    batch = batch_of(sample_of([0, NO_CLASS]), sample_of(None))
    losses = [float(model(**batch, mode="loss")["loss_ce"].detach()) for _ in range(4)]
    assert (model.teacher.calls, model.teacher.words, int(model.iteration)) == (2, 2, 4)
    assert losses[0] == losses[1] != losses[2] == losses[3]
    logits = model(**batch, mode="tensor").detach()
    labels = torch.full((2, 64, 96), 1)
    labels[0, :, :48], labels[0, :, 72:] = 0, IGNORED
    assert losses[0] == pytest.approx(float(pixel_loss(logits, labels)), rel=1e-5)


def test_one_image_is_learned():
    model = build(clip_guided=None)
    batch = batch_of(sample_of([0, 2]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(8):
        loss = model(**batch, mode="loss")["loss_ce"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_a_background_is_learned_and_is_no_pseudo_label():
    model = build(background="rest")
    model.teacher = Count()
    words = model(**batch_of(sample_of(None)), mode="tensor")
    model.background_embedding.data.mul_(-5)
    turned = model(**batch_of(sample_of(None)), mode="tensor")
    assert torch.allclose(turned[:, 3], -words[:, 3], atol=1e-5) and torch.equal(turned[:, :3], words[:, :3])
    model(**batch_of(sample_of(None)), mode="loss")["loss_ce"].backward()
    assert model.teacher.words == 3 and model.background_embedding.grad.abs().max() > 0


def test_checkpoints_hold_no_teacher():
    model, other = build(), build(clip_guided=None)
    weights = model.state_dict()
    assert "iteration" in weights and not any(name.startswith("teacher.") for name in weights)
    for to in (other, build()):
        assert load_state(to, weights).is_clean


def test_hidden_classes_stay_as_segments_without_a_class():
    results = dict(vocabulary=WORDS, gt_labels=np.array([0, 1, 3, 1]))
    assert HideClasses(["cat", "rest"])(results)["gt_labels"].tolist() == [0, -1, -1, -1]
    with pytest.raises(ValueError, match=r"'cats' is no category of .*did you mean 'cat'\?"):
        HideClasses(["cats"])(results)


def test_words_that_are_missing():
    with pytest.raises(ValueError, match="model.unlabelled is empty: name the categories without labels"):
        build(unlabelled=[])
    with pytest.raises(ValueError, match=r"model\.smoothing is 2; give a probability, 0 to 1, or None"):
        build(smoothing=2)
    model = build(unlabelled=["horse"])
    with pytest.raises(ValueError, match="'horse' is no category of"):
        model(**batch_of(sample_of(None)), mode="loss")
    model.set_vocabulary(Vocabulary())
    with pytest.raises(ValueError, match="the model has no vocabulary"):
        model(**batch_of(sample_of(None)), mode="tensor")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    model = build()
    meta = {"train_vocabulary": json.dumps(WORDS.to_dict())}
    path = tmp_path_factory.mktemp("run") / "iter_1.pth"
    torch.save({"state_dict": model.state_dict(), "meta": meta}, path)
    return load(config_of(), path, device="cpu"), model


def test_behind_the_seam(segmenter):
    segmenter, _ = segmenter
    assert isinstance(segmenter, Segmenter) and segmenter.abilities.open_vocabulary
    assert segmenter.abilities.vocabulary == WORDS and segmenter.model.teacher is None
    image = np.random.default_rng(0).integers(0, 255, (90, 60, 3), np.uint8)
    one, other = segmenter.predict([image, image[::-1].copy()], Request(Task.SEMANTIC, WORDS))
    assert one.areas.sum() == 90 * 60 and (one.scores > 1 / len(WORDS)).all() and one != other
    (alone,) = segmenter.predict([image], Request(Task.SEMANTIC, Vocabulary.from_names(["red house"])))
    assert alone.areas.tolist() == [90 * 60] and alone.scores[0] == pytest.approx(1)
    with pytest.raises(ValueError, match=r"MaskCLIP\+ offers the task 'semantic', not 'instance'"):
        segmenter.predict([image], Request(Task.INSTANCE, WORDS))
    with pytest.raises(ValueError, match="no words: give some"):
        segmenter.predict([image], Request(Task.SEMANTIC))


def test_a_test_finds_what_the_seam_finds(segmenter):
    segmenter, model = segmenter
    image = np.random.default_rng(0).integers(0, 255, (128, 96, 3), np.uint8)  # fits the config's 128 x 128
    (found,) = segmenter.predict([image], Request(Task.SEMANTIC, WORDS))
    sample = sample_of(size=(128, 96))
    batch = model.data_preprocessor(
        dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)[None]], data_samples=[sample])
    )
    (predicted,) = model.eval()(**batch, mode="predict")
    assert np.array_equal(predicted.pred_sem_seg.sem_seg[0].numpy(), found.label_map)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("plus_*.py")), ids=lambda path: path.stem)
def test_a_config_names_only_arguments_that_exist_and_its_model_builds(path):
    config = Config.fromfile(path)
    check_arguments(config)
    config.model.clip.pretrained = config.model.image_encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    first, last = model.stages.clip_guided
    if path.stem.endswith("zero_shot"):
        assert model.stages.self_training == (last + 1, None) and model.unlabelled == config.unseen
        assert config.val_evaluator[0].unseen == config.unseen
    else:
        assert (first, last, model.unlabelled) == (1, None, None)


def test_own_images_and_words(tmp_path):
    """The config of the README, with one image."""
    snippet = re.search(
        r"```python\n(_base_ = [^`]*plus_voc.py[^`]*)```", (CONFIGS.parent / "README.md").read_text()
    )
    root = str(CONFIGS.parents[2])
    text = snippet[1].replace('"projects', f'"{root}/projects').replace("/my/", f"{tmp_path}/")
    (tmp_path / "own.py").write_text(text)
    WORDS.save(tmp_path / "words.json")
    write_image(tmp_path / "photos" / "a.jpg", np.full((40, 60, 3), 99, np.uint8))
    dataset = DATASETS.build(Config.fromfile(tmp_path / "own.py").train_dataloader.dataset)
    assert len(dataset) == 1 and dataset.vocabulary == WORDS
    assert "gt_instances" not in dataset[0]["data_samples"]
