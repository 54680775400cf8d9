"""An image encoder learns a teacher's embeddings, and answers prompts with the teacher's decoder."""

from pathlib import Path

import pytest
import timm
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from omgseg.engine import check_arguments
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.models.sam.distillation import EncoderDistillation, embedding_loss, valid_cells, weights_sha256
from omgseg.registry import MODELS

SIZE = 64
PROJECTS = Path(__file__).parents[3] / "projects"


@pytest.fixture(scope="module")
def teacher_file(small_config, tmp_path_factory):
    """Weights of a small SAM that no seed of these tests gives."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("teacher") / "teacher.pth"
    torch.save({"state_dict": MODELS.build(small_config).state_dict()}, path)
    return str(path)


@pytest.fixture
def student(small_config, teacher_file):
    torch.manual_seed(0)
    model = MODELS.build({**small_config, "type": "EncoderDistillation", "teacher": teacher_file})
    model.init_weights()
    return model.train()


def batch(sha256, sizes=((64, 64), (40, 64)), channels=32, grid=8):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (len(sizes), 1, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    samples = []
    for size in sizes:
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, teacher=sha256))
        sample.teacher_embedding = torch.randn(channels, grid, grid, generator=generator).half()
        samples.append(sample)
    return images, samples


def test_the_encoder_learns_and_the_rest_is_the_teachers(student, teacher_file):
    tensors = torch.load(teacher_file, weights_only=True)["state_dict"]
    images, samples = batch(student.teacher_sha256)
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        (loss,) = student(images, samples, mode="loss").values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert student.state_dict().keys() == tensors.keys()
    for name, tensor in student.state_dict().items():
        assert name.startswith("image_encoder.") or torch.equal(tensor, tensors[name])
    assert not torch.equal(student.image_encoder.pos_embed, tensors["image_encoder.pos_embed"])
    assert not student.mask_decoder.training and student.image_encoder.training
    trained = {name.partition(".")[0] for name, p in student.named_parameters() if p.requires_grad}
    assert trained == {"image_encoder"}


def test_the_padding_does_not_count(student):
    images, samples = batch(student.teacher_sha256, sizes=((40, 64),))
    before = student(images, samples, mode="loss")["loss_embedding"]
    samples[0].teacher_embedding[:, 5:] += 100
    assert student(images, samples, mode="loss")["loss_embedding"] == before
    samples[0].teacher_embedding[:, 4] += 100
    assert student(images, samples, mode="loss")["loss_embedding"] > before + 100


def test_each_image_counts_the_same():
    teacher = torch.zeros(2, 4, 8, 8)
    student = torch.stack([torch.ones(4, 8, 8), torch.full((4, 8, 8), 3.0)])
    valid = valid_cells([(64, 64), (16, 8)], 64, (8, 8)) > 0.5
    assert valid.sum((1, 2)).tolist() == [64, 2]
    assert embedding_loss(student, teacher, valid) == (1 + 9) / 2
    thin = valid_cells([(64, 1)], 64, (8, 8)) > 0.5
    assert embedding_loss(student[:1], teacher[:1], thin) == 0  # and not NaN


def test_prediction_never_reads_the_teacher(small_config):
    model = MODELS.build({**small_config, "type": "EncoderDistillation", "teacher": "missing.pth"})
    assert isinstance(model, EncoderDistillation) and model.segmenter == "SamSegmenter"
    with pytest.raises(FileNotFoundError, match="the teacher's weights missing.pth not found"):
        model.init_weights()


def test_a_teacher_of_another_size_does_not_fit(small_config, teacher_file):
    decoder = {**small_config["mask_decoder"], "mlp_dim": 32}
    config = {**small_config, "type": "EncoderDistillation", "teacher": teacher_file, "mask_decoder": decoder}
    with pytest.raises(CheckpointError, match="teacher.pth does not fit the model"):
        MODELS.build(config).init_weights()


def test_embeddings_of_another_teacher_are_named(student):
    with pytest.raises(
        CheckpointError, match=r"embeddings of another teacher \(SHA-256 cdcdcd.*belong together"
    ):
        student(*batch("cd" * 32), mode="loss")


def test_a_batch_without_embeddings_names_the_transform(student):
    images, samples = batch(student.teacher_sha256)
    del samples[1].teacher_embedding
    with pytest.raises(ValueError, match="LoadTeacherEmbedding"):
        student(images, samples, mode="loss")


def test_embeddings_of_another_shape_are_named(student):
    with pytest.raises(ValueError, match=r"are \(16, 8, 8\), those of the image encoder \(32, 8, 8\)"):
        student(*batch(student.teacher_sha256, channels=16), mode="loss")


def test_the_teacher_is_known_by_the_content_of_its_file(teacher_file, tmp_path):
    copy = tmp_path / "copy.pth"
    copy.write_bytes(open(teacher_file, "rb").read())
    assert weights_sha256(str(copy)) == weights_sha256(teacher_file)


def test_a_trunk_starts_from_timms_weights(small_config, tmp_path):
    sizes = dict(embed_dim=(8, 16, 24, 32), depth=(1, 1, 1, 1))
    torch.manual_seed(3)
    published = timm.create_model("repvit_m1", **sizes).state_dict()
    torch.save(published, tmp_path / "trunk.pth")
    import omgseg.projects.edge_sam  # noqa: F401, registers the encoder

    encoder = dict(type="EdgeSamImageEncoder", image_size=SIZE, embed_dim=32, trunk_options=sizes)
    config = {**small_config, "type": "EncoderDistillation", "image_encoder": encoder}
    model = MODELS.build({**config, "trunk": str(tmp_path / "trunk.pth")})
    model.init_weights()
    trunk = model.image_encoder.trunk.state_dict()
    assert trunk and all(torch.equal(tensor, published[name]) for name, tensor in trunk.items())
    torch.save({name: published[name] for name in list(published)[3:]}, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match="part.pth does not fit the trunk"):
        MODELS.build({**config, "trunk": str(tmp_path / "part.pth")}).init_weights()


@pytest.mark.parametrize(
    ("project", "stage"),
    [("edge_sam", "distill_encoder"), ("edge_sam", "distill_prompts"), ("mobile_sam", "distill_encoder")],
)
def test_a_projects_recipe_is_that_of_its_published_model(project, stage):
    config = Config.fromfile(PROJECTS / project / "configs" / f"{stage}.py")
    check_arguments(config)
    with torch.device("meta"):
        student = MODELS.build(config.model).state_dict()
        published = MODELS.build(
            Config.fromfile(PROJECTS / project / "configs" / f"{project}.py").model
        ).state_dict()
    assert {name: tensor.shape for name, tensor in student.items()} == {
        name: tensor.shape for name, tensor in published.items()
    }
    (load,) = [step for step in config.train_dataloader.dataset.pipeline if "cache" in step]
    assert load.cache == config.teacher.cache and config.model.teacher == config.teacher.weights


@pytest.mark.parametrize("project", ["edge_sam", "mobile_sam"])
def test_a_projects_toy_student_learns(project):
    config = Config.fromfile(PROJECTS / project / "configs" / "toy_distill_encoder.py")
    check_arguments(config)
    torch.manual_seed(0)
    config.model.image_encoder.image_size = config.model.prompt_encoder.image_size = SIZE
    model = MODELS.build({**config.model, "teacher": None}).train()
    image, samples = batch("", channels=config.model.image_encoder.embed_dim, grid=SIZE // 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        loss = model(image, samples, mode="loss")["loss_embedding"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None for parameter in model.image_encoder.parameters())
