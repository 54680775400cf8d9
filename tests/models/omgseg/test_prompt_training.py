"""Prompts in the loop of a training: where corrections lie, what they come with, and what they train."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from omgseg.models.mask_queries.losses import ClipTargets
from omgseg.models.omgseg.prompt_training import PromptTraining, add_corrections, first_prompts

SHAPES = [(64, 64), (64, 48)]


def targets() -> list[ClipTargets]:
    """Two images of 64x64 pixels: three objects, and one; each a square of 32 pixels."""
    masks = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    for index in range(3):
        masks[index, :, 8 * index : 8 * index + 32, 8 * index : 8 * index + 32] = True
    return [ClipTargets(torch.zeros(count, dtype=torch.long), masks[:count]) for count in (3, 1)]


def points() -> dict[str, torch.Tensor]:
    return {"points": torch.tensor([[[16.0, 16.0], [24.0, 24.0], [32.0, 32.0]], [[16.0, 16.0]] * 3])}


class Answers:
    """Answers that are wrong in known places, and what was asked: each object's left half is missing, the image column
    at 44 pixels is too much, and so is the padding."""

    def __init__(self) -> None:
        self.asked = []

    def __call__(self, prompts) -> torch.Tensor:
        self.asked.append(prompts)
        logits = torch.full((2, 3, 16, 16), -1.0)
        for index in range(3):
            logits[:, index, 2 * index : 2 * index + 8, 2 * index + 4 : 2 * index + 8] = 1.0
        logits[..., 11] = 1.0
        logits[1, ..., 12:] = 1.0
        return logits > 0


def corrected(seed: int, **config):
    torch.manual_seed(seed)
    answers, given = Answers(), targets()
    training = PromptTraining(**{"single_share": 0.0, **config})
    prompts = first_prompts(points(), given, training.box_share)
    return add_corrections(prompts, answers(prompts), answers, given, SHAPES, training), answers


def test_corrections_lie_where_the_answer_is_wrong():
    seen = {0: 0, 1: 0}
    truth = [target.masks[:, 0] for target in targets()]
    for seed in range(12):
        prompts, answers = corrected(seed)
        rounds = prompts.labels.shape[-1]
        assert 1 <= len(answers.asked) == rounds <= 4
        assert [asked.labels.shape[-1] for asked in answers.asked] == list(range(rounds))
        for image, index, number in torch.nonzero(prompts.labels >= 0).tolist():
            x, y = prompts.clicks[image, index, number].tolist()
            label = int(prompts.labels[image, index, number])
            seen[label] += 1
            assert x % 4 == y % 4 == 2, "the middle of a cell"
            assert x < SHAPES[image][1], "padding is neither right nor wrong"
            inside = index < len(truth[image]) and bool(truth[image][index, int(y), int(x)])
            assert inside == bool(label)
            if label:
                assert x < 8 * index + 16, "the half that is missing"
            elif index < len(truth[image]):
                assert 44 <= x < 48, "the column that is too much"
    assert min(seen.values()) > 10


def test_each_object_has_its_own_number_of_corrections():
    counts, together = [], set()
    for seed in range(40):
        prompts, _ = corrected(seed)
        valid = prompts.labels >= 0
        assert (valid[..., 1:] <= valid[..., :-1]).all(), "padding comes last"
        counts += valid.sum(-1).flatten().tolist()
        together.add(tuple(valid[0].sum(-1).tolist()))
    assert set(counts) == {1, 2, 3, 4} and 0.4 < counts.count(1) / len(counts) < 0.65
    assert any(len(set(of_batch)) > 1 for of_batch in together)


def test_a_share_of_the_objects_has_no_corrections():
    alone = []
    for seed in range(40):
        prompts, _ = corrected(seed, single_share=0.5, mask_share=1.0)
        none = (prompts.labels < 0).all(-1)
        assert not prompts.masks[none].any(), "nor the mask so far"
        alone += none.flatten().tolist()
    assert 0.4 < sum(alone) / len(alone) < 0.6


def test_the_mask_so_far_comes_with_half_of_the_last_corrections():
    shown = []
    for seed in range(40):
        prompts, answers = corrected(seed)
        answer = answers(prompts)
        given = prompts.masks.flatten(2).any(-1)
        assert torch.equal(prompts.masks, answer & given[..., None, None])
        shown += given.flatten().tolist()
    assert 0.4 < sum(shown) / len(shown) < 0.6
    assert all(corrected(seed, mask_share=0.0)[0].masks is None for seed in range(5))


def test_first_prompts_are_the_datas_points_or_noisy_boxes():
    torch.manual_seed(0)
    share = torch.stack([~first_prompts(points(), targets(), 0.5).is_point for _ in range(60)]).float().mean()
    assert 0.4 < share < 0.6
    found = first_prompts(points(), targets(), 1.0)
    assert not found.is_point.any() and torch.equal(found.points, points()["points"])
    boxes = torch.tensor([[0.0, 0, 32, 32], [8, 8, 40, 40], [16, 16, 48, 48]])
    assert 0 < (found.boxes[0] - boxes).abs().max() <= 16 and not torch.equal(found.boxes[0], boxes)
    assert first_prompts(points(), targets(), 0.0).is_point.all()
    given = boxes.expand(2, -1, -1)
    kept = first_prompts({"boxes": given}, targets(), 0.5)
    assert not kept.is_point.any() and torch.equal(kept.boxes, given), "boxes of the data stay as they are"


def test_seeds_determine_everything():
    for seed in range(4):
        first, second = corrected(seed)[0], corrected(seed)[0]
        for name in ("boxes", "is_point", "clicks", "labels"):
            assert torch.equal(getattr(first, name), getattr(second, name))


def test_ignored_pixels_are_not_corrected():
    torch.manual_seed(0)
    ignored = torch.zeros(1, 64, 64, dtype=torch.bool)
    ignored[..., :32] = True
    given = [ClipTargets(target.labels, target.masks, ignored=ignored) for target in targets()]
    answers = Answers()
    for _ in range(10):
        first = first_prompts(points(), given, 0.5)
        prompts = add_corrections(first, answers(first), answers, given, SHAPES, PromptTraining())
        assert (prompts.clicks[..., 0][prompts.labels >= 0] > 32).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(max_corrections=-1), r"prompt_training.max_corrections is -1, at least 0"),
        (dict(single_share=2.0), r"prompt_training.single_share is 2.0, a share"),
        (dict(box_share=1.5), r"prompt_training.box_share is 1.5, a share"),
        (dict(mask_share=-0.1), r"prompt_training.mask_share is -0.1"),
    ],
)
def test_wrong_settings_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        PromptTraining(**config)


def loss_of(model, seed: int, *counts: int) -> dict[str, torch.Tensor]:
    """Losses of images with so many points each."""
    samples = []
    for count in counts:
        sample = DetDataSample(
            metainfo=dict(img_path="image.jpg", img_shape=(40, 72), tasks=("interactive",))
        )
        masks = torch.zeros(count, 40, 72, dtype=torch.bool)
        for index in range(count):
            masks[index, :20, 20 * index : 20 * (index + 1)] = True
        sample.gt_instances = InstanceData(labels=torch.full((count,), -1), masks=masks)
        sample.prompts = InstanceData(points=torch.tensor([[10.0 + 20 * i, 8.0] for i in range(count)]))
        samples.append(sample)
    torch.manual_seed(seed)
    inputs = [torch.randint(0, 255, (1, 3, 40, 72), dtype=torch.uint8) for _ in samples]
    return model.train()(**model.data_preprocessor(dict(inputs=inputs, data_samples=samples)), mode="loss")


@pytest.mark.parametrize("amp", [False, True])
def test_corrections_and_masks_are_trained(tiny_model, amp, monkeypatch):
    """Also where autocast keeps weights that it has cast: those of the rounds have no gradient."""
    monkeypatch.setattr(tiny_model, "prompt_training", PromptTraining(single_share=0.0, mask_share=1.0))
    encoder, decoder = tiny_model.prompt_encoder, tiny_model.query_decoder
    new = torch.zeros(2)
    for seed in range(6):
        tiny_model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            losses = loss_of(tiny_model, seed, 3, 1)
        sum(losses.values()).backward()
        for weight in (decoder.layers[0].cross_attn.attn.in_proj_weight, decoder.mask_embed[0].weight):
            assert weight.grad.abs().sum() > 0
        grads = encoder.correction_embed.grad, encoder.given_mask_proj.grad
        new += torch.tensor([0.0 if grad is None else float(grad.abs().sum()) for grad in grads])
    assert (new > 0).all()


def test_losses_are_those_of_the_prompts_at_the_end(tiny_model, monkeypatch):
    seen, decode = [], tiny_model.decode

    def note(features, prompts, **options):
        seen.append((prompts.clicks.shape[2], torch.is_grad_enabled()))
        return decode(features, prompts, **options)

    monkeypatch.setattr(tiny_model, "decode", note)
    monkeypatch.setattr(tiny_model, "prompt_training", PromptTraining(max_corrections=0))
    loss_of(tiny_model, 0, 3, 1)
    assert seen == [(0, True)]
    monkeypatch.setattr(tiny_model, "prompt_training", PromptTraining(max_corrections=1))
    seen.clear()
    loss_of(tiny_model, 0, 3, 1)
    assert seen == [(0, False), (1, True)]


def test_one_key_gives_single_prompts(tiny_model, monkeypatch):
    monkeypatch.setattr(tiny_model.prompt_encoder, "corrections", False)
    monkeypatch.setattr(tiny_model.prompt_encoder, "encode_groups", None)
    assert all(value.isfinite() for value in loss_of(tiny_model, 0, 3, 1).values())
