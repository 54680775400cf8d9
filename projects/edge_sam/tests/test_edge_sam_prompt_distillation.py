"""Prompt-in-the-loop distillation, Algorithm 1 of EdgeSAM."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from omgseg.models.checkpoints.loading import build_for_prediction
from omgseg.models.sam.distillation import weights_sha256
from omgseg.models.sam.prompt_encoder import IGNORED
from omgseg.registry import MODELS

SIZE, GRID, WIDTH = 64, 4, 32
CELL = SIZE / (4 * GRID)
"""Side of a pixel of a mask, in pixels of the image."""
PARTS = dict(
    image_encoder=dict(
        type="EdgeSamImageEncoder",
        image_size=SIZE,
        embed_dim=WIDTH,
        trunk_options=dict(embed_dim=(8, 16, 32, 64), depth=(1, 1, 1, 1)),
    ),
    prompt_encoder=dict(type="SamPromptEncoder", embed_dim=WIDTH, image_size=SIZE, stride=SIZE // GRID),
    mask_decoder=dict(type="SamMaskDecoder", embed_dim=WIDTH, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
)


@pytest.fixture(scope="module")
def teacher():
    """A random SAM that is sure of its masks."""
    torch.manual_seed(0)
    model = MODELS.build(dict(type="SAM", **PARTS)).eval()
    for mlp in model.mask_decoder.output_hypernetworks_mlps:
        torch.nn.init.normal_(mlp.layers[-1].weight, std=30.0)
    return model


@pytest.fixture(scope="module")
def weights(teacher, tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save(teacher.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def config(weights):
    return dict(type="PromptDistillation", teacher=weights, **PARTS)


@pytest.fixture(scope="module")
def batch(teacher, weights):
    """Two images, the second one padded, with two objects each."""
    images = torch.randint(0, 255, (2, 1, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1))
    samples = []
    for size in ((SIZE, SIZE), (SIZE, SIZE - 20)):
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, teacher=weights_sha256(weights)))
        masks = torch.zeros(2, *size, dtype=torch.bool)
        masks[0, 5:40, 5:20] = masks[1, 30:60, 20:42] = True
        sample.gt_instances = InstanceData(masks=masks)
        samples.append(sample)
    images = images.byte()
    with torch.no_grad():
        embeddings = teacher(images, samples, mode="tensor")
    for sample, embedding in zip(samples, embeddings, strict=True):
        sample.set_field(embedding.half(), "teacher_embedding", dtype=torch.Tensor)
    return images, samples


@pytest.fixture
def student(config):
    torch.manual_seed(1)
    model = MODELS.build(config)
    model.init_weights()
    return model


def watched(student, monkeypatch):
    """What the student was asked, round by round, what it answered, and what the teacher answered."""
    asked, answers, taught = [], [], []
    decode, teach = student.decode, student.teacher_decoder.decode

    def ask(embedding, points=None, labels=None, boxes=None, masks=None):
        asked.append((points, labels, boxes))
        answers.append(decode(embedding, points, labels, boxes, masks))
        return answers[-1]

    def ask_teacher(embedding, points=None, labels=None, boxes=None, masks=None):
        assert all(ours is theirs for ours, theirs in zip(asked[-1], (points, labels, boxes), strict=True))
        taught.append(teach(embedding, points, labels, boxes, masks))
        return taught[-1]

    monkeypatch.setattr(student, "decode", ask)
    monkeypatch.setattr(student.teacher_decoder, "decode", ask_teacher)
    return asked, answers, taught


def test_further_prompts_come_from_the_disagreement(student, batch, monkeypatch):
    asked, answers, taught = watched(student, monkeypatch)
    corrected = 0
    for seed in range(4):
        torch.manual_seed(seed)
        del asked[:], answers[:], taught[:]
        student(*batch, mode="loss")
        (points, labels, boxes), (more, meaning, same_boxes) = asked
        assert same_boxes is boxes and (points is None) != (boxes is None)
        known = 0 if points is None else points.shape[1]
        if known:
            assert torch.equal(more[:, :known], points) and torch.equal(meaning[:, :known], labels)
        assert more.shape == (4, known + 1, 2)
        best = taught[0].iou.argmax(1) if known else torch.zeros(4, dtype=torch.long)
        rows = torch.arange(4)
        shown, wanted = (answer[0].logits[rows, best] > 0 for answer in (answers, taught))
        for row in range(4):
            x, y = (more[row, -1] / CELL).long().tolist()
            if meaning[row, -1] != IGNORED:
                corrected += 1
                assert shown[row, y, x] != wanted[row, y, x]
                assert meaning[row, -1] == int(wanted[row, y, x])
    assert corrected > 4


def test_boxes_and_points_begin_equally_often(student, batch, monkeypatch):
    asked, _, _ = watched(student, monkeypatch)
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(30):
            student(*batch, mode="loss")
    boxes = [given for _, _, given in asked[::2] if given is not None]
    assert 8 < len(boxes) < 22
    assert boxes[0].shape == (4, 4)
    assert sorted(boxes[0][:2].tolist()) == [[5, 5, 20, 40], [20, 30, 42, 60]]


def test_a_student_that_is_the_teacher_has_nothing_to_learn(student, teacher, batch, monkeypatch):
    def loss(seed):
        torch.manual_seed(seed)
        return sum(student(*batch, mode="loss").values()).item()

    strange = [loss(seed) for seed in range(4)]
    student.load_state_dict(teacher.state_dict())
    student.eval()
    asked, _, _ = watched(student, monkeypatch)
    assert max(loss(seed) for seed in range(4)) < 0.3 * min(strange)
    assert all((labels[:, -1] == IGNORED).all() for _, labels, _ in asked[1::2])


def test_a_student_learns_and_the_prompt_encoder_stays(student, teacher, batch):
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    optimizer = torch.optim.AdamW(student.parameters(), lr=2e-3, weight_decay=0.05)
    torch.manual_seed(0)
    sums = []
    for _ in range(40):
        total = sum(student(*batch, mode="loss").values())
        optimizer.zero_grad()
        total.backward()
        assert all(parameter.grad is None for parameter in student.prompt_encoder.parameters())
        assert all(parameter.grad is None for parameter in student.teacher_decoder.parameters())
        optimizer.step()
        sums.append(total.item())
    assert sum(sums[-10:]) < 0.8 * sum(sums[:10])
    after = student.state_dict()
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"image_encoder", "mask_decoder"}
    for name, tensor in teacher.mask_decoder.state_dict().items():
        assert torch.equal(tensor, student.teacher_decoder.mask_decoder.state_dict()[name])


def test_a_checkpoint_is_an_edge_sam(student, teacher, config, tmp_path):
    """Without the teacher; and prediction reads no teacher, with this config or with that of EdgeSAM."""
    path = tmp_path / "student.pth"
    torch.save(student.state_dict(), path)
    assert set(student.state_dict()) == set(teacher.state_dict())
    student.load_state_dict(student.state_dict())
    for one in (dict(config, teacher="missing.pth"), dict(type="SAM", **PARTS)):
        loaded, _ = build_for_prediction(one, path)
        assert loaded.segmenter == "SamSegmenter" and not hasattr(loaded, "teacher_decoder")
        for name, tensor in loaded.state_dict().items():
            assert torch.equal(tensor, student.state_dict()[name])


def test_a_batch_without_objects_costs_nothing(student, batch):
    images, samples = batch
    empty = [sample.clone() for sample in samples]
    for sample in empty:
        sample.gt_instances = sample.gt_instances[:0]
    assert sum(student(images, empty, mode="loss").values()).item() == 0


def test_wrong_input_is_one_sentence(student, config, batch):
    images, samples = batch
    bare, foreign = ([sample.clone() for sample in samples] for _ in range(2))
    del bare[0].teacher_embedding
    with pytest.raises(ValueError, match=r"teacher_embeddings\.py"):
        student(images, bare, mode="loss")
    foreign[1].set_metainfo(dict(teacher="0" * 64))
    with pytest.raises(ValueError, match="another teacher"):
        student(images, foreign, mode="loss")
    with pytest.raises(ValueError, match=r"model\.teacher"):
        MODELS.build(dict(config, teacher=None)).init_weights()
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        MODELS.build(dict(config, teacher="gone.pth")).init_weights()
