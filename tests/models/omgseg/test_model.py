"""The whole model: sizes, tasks, vocabulary, checkpoints."""

import copy
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from omgseg.models.checkpoints.published import PREFIXES
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

CONFIG = Path(__file__).parents[3] / "configs" / "_base_" / "models" / "omg_convnext_l.py"


def model_config(clip_name: str) -> Config:
    model = Config.fromfile(CONFIG).model
    for encoder in (model.image_encoder, model.text_encoder):
        encoder.update(model_name=clip_name, pretrained=None)
    return model


def make_frame(count: int, tasks: tuple[str, ...], scale: int = 1) -> DetDataSample:
    """A 40x72 image of an original of twice the size; masks at `scale` times the image."""
    meta = dict(img_path="image.jpg", img_shape=(40, 72), ori_shape=(80, 144), tasks=tasks)
    masks = torch.zeros(count, 40 * scale, 72 * scale, dtype=torch.bool)
    for index in range(count):
        masks[index, : 20 * scale, 20 * index * scale : 20 * (index + 1) * scale] = True
    frame = DetDataSample(metainfo=meta)
    frame.gt_instances = InstanceData(
        labels=torch.arange(count) % 3, masks=masks, instances_ids=torch.arange(count) + 5
    )
    return frame


def make_video(length: int, tasks: tuple[str, ...], scale: int = 1) -> TrackDataSample:
    video = TrackDataSample(metainfo=dict(tasks=tasks))
    video.video_data_samples = [make_frame(2, tasks, scale) for _ in range(length)]
    return video


def run(model, samples, frames: int, mode: str):
    torch.manual_seed(1)
    inputs = [torch.randint(0, 255, (frames, 3, 40, 72), dtype=torch.uint8) for _ in samples]
    data = model.data_preprocessor(dict(inputs=inputs, data_samples=samples))
    assert data["inputs"].shape[-2:] == (64, 96)
    return model.train(mode == "loss")(**data, mode=mode)


def test_published_size_has_221_m_parameters_of_which_21_m_train():
    with torch.device("meta"):
        model = MODELS.build(model_config("convnext_large_d_320"))
    total = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert round(total / 1e6) == 221
    assert round(trainable / 1e6) == 21


def test_published_keys_cover_the_head_and_nothing_is_left(golden_model):
    """The key table maps the published head one to one onto ours (at the published depth, other sizes)."""
    with torch.device("meta"):
        model = MODELS.build(model_config("convnext_large_d_320"))
    ours = {name for name in model.state_dict() if not name.startswith("image_encoder.")}
    ours -= {
        "prompt_encoder.correction_embed",
        "prompt_encoder.given_mask_proj",
    }  # not in the published model
    roots = [new for old, new in PREFIXES if old.startswith("panoptic_head.")]
    assert all(any(name.startswith(root) for root in roots) for name in ours)
    depths = {name.split(".")[2] for name in ours if name.startswith("query_decoder.layers.")}
    assert len(depths) == 9 and len(ours) >= len(golden_model["state_dict"])


@pytest.mark.parametrize("frames", [1, 2])
def test_images_and_clips_train_all_but_the_prompt_encoder(tiny_model, frames):
    samples = [make_frame(3, ("panoptic",)), make_frame(0, ("panoptic",))]
    if frames > 1:
        samples = [make_video(frames, ("panoptic",)), make_video(frames, ("panoptic",))]
    tiny_model.zero_grad()
    losses = run(tiny_model, samples, frames, "loss")
    assert {"loss_cls", "loss_mask", "loss_dice", "loss_objectness", "d0.loss_cls"} <= set(losses)
    sum(losses.values()).backward()
    untrained = {name for name, p in tiny_model.named_parameters() if p.requires_grad and p.grad is None}
    assert untrained == {name for name in untrained if name.startswith("prompt_encoder.")} != set()


def test_cache_is_for_the_decoder_of_images_and_prompts(tiny_model, monkeypatch):
    video_decoder = copy.deepcopy(tiny_model.query_decoder)
    with torch.no_grad():
        for layer in video_decoder.layers:
            layer.cross_attn.attn.in_proj_weight.neg_()
        pixels = torch.randint(0, 255, (1, 1, 3, 64, 96), dtype=torch.uint8)
        monkeypatch.setattr(tiny_model, "video_query_decoder", video_decoder)
        for sample, decoder in (
            (make_frame(1, ("panoptic",)), tiny_model.query_decoder),
            (make_video(1, ("panoptic",)), video_decoder),
        ):
            features = tiny_model.encode(pixels, [sample])
            cached = tiny_model.with_cache(features)
            assert features.cache is None and cached.cache is not None
            (expected,) = decoder(features.mask_features, features.levels, every_layer=False)
            (output,) = tiny_model.decode(cached, every_layer=False)
            torch.testing.assert_close(output.mask_logits, expected.mask_logits)


def test_prompts_train_without_class_loss(tiny_model):
    samples = []
    for count in (3, 1):
        sample = make_frame(count, ("interactive",))
        sample.prompts = InstanceData(points=torch.tensor([[10.0 + 20 * i, 8.0] for i in range(count)]))
        samples.append(sample)
    tiny_model.zero_grad()
    losses = run(tiny_model, samples, 1, "loss")
    assert not any("cls" in name for name in losses)
    sum(losses.values()).backward()
    assert tiny_model.prompt_encoder.mask_tokens.weight.grad.abs().sum() > 0
    assert tiny_model.query_decoder.query_feat.weight.grad is None
    samples[1].prompts = InstanceData(points=torch.tensor([[10.0, 8.0]]))
    predicted = run(tiny_model, samples, 1, "predict")
    assert [sample.pred_instances.masks.shape for sample in predicted] == [(3, 80, 144), (1, 80, 144)]


def test_an_image_is_read_out_for_every_task_at_its_original_size(tiny_model, words):
    (sample,) = run(tiny_model, [make_frame(1, ("panoptic", "instance", "semantic"))], 1, "predict")
    panoptic = sample.pred_panoptic_seg.sem_seg
    assert panoptic.shape == (1, 80, 144) and panoptic.dtype == torch.int32
    assert ((panoptic % 1000) <= len(words)).all()
    semantic = sample.pred_sem_seg.sem_seg
    assert semantic.shape == (1, 80, 144) and semantic.max() < len(words)
    instances = sample.pred_instances
    assert instances.masks.shape[1:] == (80, 144) and (instances.labels < words.num_things).all()
    assert (instances.scores.diff() <= 0).all()


def test_a_video_is_read_out_clip_by_clip_with_constant_identities(tiny_model):
    tasks = ("panoptic", "instance", "semantic", "vos")
    (video,) = run(tiny_model, [make_video(5, tasks, scale=2)], 5, "predict")
    frames = list(video.video_data_samples)
    assert len(frames) == 5
    for frame in frames:
        assert frame.pred_panoptic_seg.sem_seg.shape == (1, 80, 144)
        assert set(frame.pred_vos_seg.sem_seg.unique().tolist()) <= {0, 5, 6}
        tracks = frame.pred_track_instances
        assert tracks.instances_id.tolist() == frames[0].pred_track_instances.instances_id.tolist()
        assert torch.equal(tracks.labels, frames[0].pred_track_instances.labels)
        assert all(mask["size"] == [80, 144] for mask in tracks.masks)


def test_objects_of_a_video_may_be_given_late(tiny_model):
    """Frame 1 gives object 5, frame 3 object 6; the others give nothing."""
    sample = make_video(5, ("vos",), scale=2)
    for t, frame in enumerate(sample.video_data_samples):
        if t not in (1, 3):
            del frame.gt_instances
        else:
            frame.gt_instances.masks[t // 2 - 1] = False
    (video,) = run(tiny_model, [sample], 5, "predict")
    found = [set(frame.pred_vos_seg.sem_seg.unique().tolist()) for frame in video.video_data_samples]
    assert found[0] == {0} and all(5 in ids and 6 not in ids for ids in found[1:3])
    assert 6 in set.union(*found[3:])


def test_objects_are_followed_without_a_vocabulary_and_the_same_with_one(tiny_model):
    wordless = copy.deepcopy(tiny_model)
    wordless.set_vocabulary(Vocabulary())
    maps = []
    for model in (wordless, tiny_model):
        (video,) = run(model, [make_video(5, ("vos",), scale=2)], 5, "predict")
        maps.append([frame.pred_vos_seg.sem_seg for frame in video.video_data_samples])
    assert all(torch.equal(*pair) for pair in zip(*maps, strict=True))
    assert set(maps[0][0].unique().tolist()) > {0}


def test_a_new_vocabulary_changes_no_weight(tiny_model, words):
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    tiny_model.set_vocabulary(["unicorn", "castle"])
    (sample,) = run(tiny_model, [make_frame(1, ("instance",))], 1, "predict")
    assert sample.pred_instances.labels.max() <= 1
    tiny_model.set_vocabulary(words)
    after = tiny_model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_unseen_classes_lean_on_clip(tiny_model, words):
    """The ensemble's share of CLIP depends on the training vocabulary."""
    logits, pooled = torch.randn(4, 4), torch.randn(4, tiny_model.image_encoder.channels[-1])
    area = torch.ones(4)
    tiny_model.train_vocabulary = words
    seen = tiny_model.class_probs(logits, pooled, area)
    tiny_model.train_vocabulary = Vocabulary.from_names(["horse"])
    unseen = tiny_model.class_probs(logits, pooled, area)
    tiny_model.train_vocabulary = None
    assert torch.equal(tiny_model.class_probs(logits, pooled, area), seen)
    assert not torch.allclose(seen, unseen)
    assert torch.allclose(tiny_model.class_probs(logits), logits.softmax(-1))
    assert torch.allclose(seen.sum(-1), torch.ones(4), atol=1e-4)


def test_errors_name_what_is_wrong(tiny_model):
    config = model_config("convnext_large_d_320")
    config.test_cfg.panoptic.iou_thrs = 0.5
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match=r"test_cfg.panoptic has no key 'iou_thrs'.*'iou_thr'"),
    ):
        MODELS.build(config)
    frame = make_frame(1, ("panoptic",), scale=2)
    with pytest.raises(ValueError, match=r"image.jpg: gt_instances.masks are \(80, 144\).*\(40, 72\)"):
        run(tiny_model, [frame], 1, "loss")
    with pytest.raises(ValueError, match="mode is"):
        run(tiny_model, [frame], 1, "train")


def test_an_empty_vocabulary_keeps_the_device(tiny_model, words):
    model = copy.deepcopy(tiny_model).to("meta")
    model.set_vocabulary([])
    model.set_vocabulary(words)
    assert model.class_embeddings.is_meta


def test_words_are_compared_when_a_vocabulary_is_set_and_not_per_image(tiny_model, words):
    """Unseen classes take more of CLIP's own score; which ones they are follows either vocabulary."""
    model = copy.deepcopy(tiny_model)
    logits = torch.randn(5, len(words) + 1)
    evidence = {"pooled": torch.randn(5, model.image_encoder.channels[-1]), "area": torch.ones(5)}
    all_seen = model.class_probs(logits, **evidence)
    model.train_vocabulary = Vocabulary.from_names(["cat"])
    some_unseen = model.class_probs(logits, **evidence)
    assert not torch.allclose(all_seen, some_unseen)
    compared = []
    original = Vocabulary.shares_word_with

    class Counting(Vocabulary):
        def shares_word_with(self, other):
            compared.append(other)
            return original(self, other)

    model.set_vocabulary([])
    model.set_vocabulary(Counting(list(words)))
    for _ in range(3):
        assert torch.equal(model.class_probs(logits, **evidence), some_unseen)
    assert len(compared) == 1
