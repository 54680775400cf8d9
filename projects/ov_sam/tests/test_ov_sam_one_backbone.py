"""OMG-Seg and OV-SAM on one backbone: one pass, the answers of both, and one file of weights."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import omgseg
from omgseg.inference import InteractivePredictor, OMGSegInferencer
from omgseg.model_table import find_model, recognise
from omgseg.models.checkpoints.loading import VOCABULARY_KEY, CheckpointError
from omgseg.models.checkpoints.published import PREFIXES
from omgseg.models.omgseg.adapter import OMGSegSegmenter
from omgseg.projects.ov_sam import OMGOVSamSegmenter, OVSamSegmenter, join
from omgseg.protocols import (
    MaskNamer,
    PromptableModel,
    Prompts,
    Proposer,
    Request,
    Segmenter,
    TrackingModel,
    VideoModel,
)
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary

CONFIG = "projects/ov_sam/configs/toy_omg_ov_sam.py"
WORDS = Vocabulary.from_names(["cat", "dog"])


def encoders_of(model):
    """The configs of all parts of CLIP."""
    return (
        model.omg_seg.image_encoder,
        model.omg_seg.text_encoder,
        model.ov_sam.image_encoder.trunk,
        model.ov_sam.text_encoder,
    )


@pytest.fixture(scope="module")
def config():
    """The toy config without files, and with read-outs that keep every segment, as random masks overlap."""
    config = Config.fromfile(CONFIG)
    for encoder in encoders_of(config.model):
        encoder.pretrained = None
    config.model.omg_seg.test_cfg.panoptic.update(iou_thr=0.0, filter_low_score=False)
    return config


@pytest.fixture(scope="module")
def model(config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS.build(config.model).eval()


@pytest.fixture
def segmenter(model, config):
    """Behind the seam, without an image that was encoded before."""
    return OMGOVSamSegmenter.from_model(copy.deepcopy(model), config)


@pytest.fixture
def passes(segmenter):
    """The images that each pass of the trunk encodes."""
    batches = []
    segmenter.model.image_encoder.trunk.stem.register_forward_hook(
        lambda module, inputs, output: batches.append(len(inputs[0]))
    )
    return batches


@pytest.fixture(scope="module")
def photos():
    return list(np.random.default_rng(0).integers(0, 256, (3, 90, 140, 3), np.uint8))


def test_a_segmented_image_is_clicked_on_without_another_pass(segmenter, passes, photos):
    seg = OMGSegInferencer(segmenter, vocabulary=WORDS)
    assert len(seg(photos[0], "panoptic", background=[]))
    seg.interactive.vocabulary = WORDS
    seg.interactive.set_image(photos[0])
    clicked = seg.interactive.predict(points=[(70, 40)])
    assert clicked.names[0] in ("cat", "dog")
    seg.interactive.predict(boxes=[(20, 20, 80, 70)])
    seg.interactive.segment_everything(min_score=0.0)
    assert passes == [1]
    seg(photos[1], "instance")
    seg(photos[0], "semantic")
    assert passes == [1, 1, 1]


def test_a_clicked_image_is_segmented_without_another_pass(segmenter, passes, photos):
    predictor = InteractivePredictor(segmenter)
    predictor.set_image(photos[0])
    segmenter.predict(photos[:1], Request(Task.SEMANTIC, WORDS))
    assert passes == [1]


def test_the_page_segments_and_clicks_on_a_picture_in_one_pass(segmenter, passes, photos, tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")
    from omgseg.web.click_tab import ADD, ClickTab
    from omgseg.web.image_tab import ImageTab
    from omgseg.web.parts import Site
    from omgseg.web.uploads import Limits, Workspace

    site = Site(OMGSegInferencer(segmenter, vocabulary=WORDS), Limits(), Workspace())
    picture = tmp_path / "picture.png"
    Image.fromarray(photos[0]).save(picture)
    ImageTab(site).segment(str(picture), "Everything (panoptic)", "cat, dog", 0.0, 0.5, False)
    tab, visitor = ClickTab(site), SimpleNamespace(session_hash="a")
    clicks = tab.start(str(picture), visitor)[0]
    shown = tab.click(clicks, clicks.path, ADD, "cat, dog", SimpleNamespace(index=(70, 40)), visitor)
    assert shown[0].result.names[0] in ("cat", "dog") and passes == [1]
    site.workspace.close()


def test_batches_and_clips_are_encoded_anew(segmenter, passes, photos):
    segmenter.predict(photos, Request(Task.SEMANTIC, WORDS))
    segmenter.predict_video(photos, Request(Task.PANOPTIC, WORDS))
    assert passes == [3, 3]


def test_the_answers_are_those_of_each_model_alone(segmenter, photos):
    """Of OMG-Seg on the same square, and of OV-SAM on the same pixels."""
    square = np.zeros((140, 140, 3), np.uint8)
    square[:90] = photos[0]
    omg_seg = OMGSegSegmenter.from_model(segmenter._of_videos.model, {"test_dataloader": _resized_to(128)})
    request = Request(Task.INSTANCE, WORDS)
    (found,), (alone,) = (model.predict([square], request) for model in (segmenter, omg_seg))
    assert found.rles == alone.rles and np.array_equal(found.scores, alone.scores)
    (video,), (alone,) = (model.predict_video([square], request) for model in (segmenter, omg_seg))
    assert video.rles == alone.rles

    ov_sam = OVSamSegmenter.from_model(segmenter.model, {})
    image = np.ascontiguousarray(photos[0][:64, :128])  # as large as the square: neither resizes it
    prompts = Prompts(boxes=np.array([[10, 10, 60, 50]], np.float32))
    answers = [model.segment_prompts(model.encode_image(image), prompts) for model in (segmenter, ov_sam)]
    assert torch.allclose(*(answer.carry.logits for answer in answers), atol=1e-4)
    names = [
        model.name_masks(model.encode_image(image), answers[0].rles, WORDS) for model in (segmenter, ov_sam)
    ]
    assert names[0] == pytest.approx(names[1], abs=1e-4)


def _resized_to(side):
    return dict(dataset=dict(pipeline=[dict(type="Resize", scale=(side, side))]))


def test_it_offers_all_that_both_do(segmenter):
    for protocol in (Segmenter, PromptableModel, Proposer, MaskNamer, VideoModel, TrackingModel):
        assert isinstance(segmenter, protocol)
    abilities = segmenter.abilities
    assert abilities.tasks == set(Task) and abilities.prompts == {"points", "labels", "boxes", "masks"}
    assert abilities.open_vocabulary and abilities.test_size == (128, 128)


def test_objects_are_followed(segmenter, photos):
    masks = np.zeros((1, 90, 140), bool)
    masks[0, 20:60, 30:80] = True
    tracked = segmenter.track_video(photos, masks, np.array([7]))
    assert len(tracked) == 3 and tracked[0].ids.tolist() == [7]
    tracker = segmenter.open_tracker()
    tracker.add(masks, np.array([7]))
    assert tracker.push(photos[:2])[0].ids.tolist() == [7]
    assert len(segmenter.open_stream(Request(Task.PANOPTIC, WORDS)).push(photos)) == 3


def test_without_weights_no_file_is_read(photos):
    model = Config.fromfile(CONFIG).model
    for encoder in encoders_of(model):
        encoder.pretrained = "no/such/clip.safetensors"
    with pytest.raises(FileNotFoundError, match="no/such/clip"):
        MODELS.build(model)
    segmenter = OMGOVSamSegmenter({"model": model}, None, torch.device("cpu"))
    assert segmenter.encode_image(photos[0]).embedding.shape == (1, 64, 16, 16)


# weights


@pytest.fixture(scope="module")
def files(model, config, tmp_path_factory):
    """A checkpoint of each head, as trainings write them, that of OMG-Seg under the published names; ones that do not
    belong together; and the config."""
    folder = tmp_path_factory.mktemp("weights")
    state = model.state_dict()
    published, ov_sam = {}, {}
    for name, tensor in state.items():
        if name.startswith("ov_sam."):
            ov_sam[name.removeprefix("ov_sam.")] = tensor
        elif name != "omg_seg.image_encoder.logit_scale":  # published files leave it out
            ours = name.removeprefix("omg_seg.")
            fits = [(start, begin) for begin, start in PREFIXES if ours.startswith(start)]
            start, begin = max(fits, key=lambda pair: len(pair[0]))
            published[begin + ours.removeprefix(start)] = tensor
    less = {name: tensor for name, tensor in published.items() if ".query_embed." not in name}
    other_clip = {**ov_sam, "image_encoder.trunk.projection.proj.weight": torch.zeros(64, 96)}
    meta = {VOCABULARY_KEY: '{"categories": [{"name": "cat"}]}', "seed": 1}
    torch.save({"state_dict": published, "meta": meta}, folder / "omg_seg.pth")
    torch.save({"state_dict": less}, folder / "less.pth")
    torch.save({"state_dict": ov_sam}, folder / "ov_sam.pth")
    torch.save({"state_dict": other_clip}, folder / "other_clip.pth")
    config.dump(folder / "config.py")
    return folder


def run_join(files, out, omg_seg="omg_seg.pth", ov_sam="ov_sam.pth"):
    given = {
        "--omg-seg": files / omg_seg,
        "--ov-sam": files / ov_sam,
        "--config": files / "config.py",
        "--out": out,
    }
    join.main([str(text) for pair in given.items() for text in pair])


def test_two_files_become_one(segmenter, files, tmp_path, photos):
    run_join(files, tmp_path / "both.pth")
    loaded = omgseg.load(str(files / "config.py"), str(tmp_path / "both.pth"), "cpu")
    assert loaded.abilities.vocabulary.names == ["cat"]
    prompts = Prompts(boxes=np.array([[10, 10, 60, 50]], np.float32))
    answers = [model.segment_prompts(model.encode_image(photos[0]), prompts) for model in (segmenter, loaded)]
    assert torch.equal(*(answer.carry.logits for answer in answers))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(omg_seg="ov_sam.pth"), "ov_sam.pth does not hold OMG-Seg"),
        (dict(ov_sam="omg_seg.pth"), "omg_seg.pth does not hold OV-SAM"),
        (dict(omg_seg="less.pth"), "query_decoder.query_embed.weight is missing"),
        (dict(ov_sam="other_clip.pth"), "other_clip.pth hold different backbones: .* differs"),
        (dict(ov_sam="nothing.pth"), "nothing.pth"),
    ],
)
def test_files_that_do_not_belong_together_are_named(files, tmp_path, wrong, message):
    with pytest.raises((CheckpointError, FileNotFoundError), match=message):
        run_join(files, tmp_path / "both.pth", **wrong)
    assert not (tmp_path / "both.pth").exists()


def test_one_head_alone_is_no_model(files):
    with pytest.raises(CheckpointError, match="projects/ov_sam/join.py joins the files"):
        omgseg.load(str(files / "config.py"), str(files / "ov_sam.pth"), "cpu")


def test_heads_on_different_clips_are_refused(config):
    other = Config(dict(model=config.model.to_dict()))
    other.model.ov_sam.image_encoder.trunk.mean = (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="cannot share a backbone: mean is None in model.omg_seg"):
        MODELS.build(other.model)
    other = Config(dict(model=config.model.to_dict()))
    other.model.omg_seg.image_encoder.frozen = False
    with pytest.raises(ValueError, match="frozen=True"):
        MODELS.build(other.model)


def test_the_row_of_the_table_is_true():
    entry = find_model("omg-ov-sam")
    config = Config.fromfile(entry.config).model
    for encoder in encoders_of(config):
        encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config)
    assert model.omg_seg.image_encoder is model.ov_sam.image_encoder.trunk
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert entry.tasks == set(Task) and entry.open_vocabulary
    assert entry.prompts == {"points", "labels", "boxes", "masks"}
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert recognise(shapes).name == entry.name
