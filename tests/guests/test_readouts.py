"""Our read-outs give the maps of transformers' image processors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import omgseg
from omgseg.guests.mask_queries import EomtGuest
from omgseg.protocols import Request
from omgseg.structures import Task
from tests.guests.tiny import MASK_QUERIES, WORDS, transformers

SIZE = (90, 120)
STUFF = {1, 3}
"""Of WORDS."""


@pytest.fixture(params=[*MASK_QUERIES, "videomt"])
def model(request, guest_folder):
    return omgseg.load(guest_folder(request.param), device="cpu", dtype="float32")


def output_of(model, queries: int = 14, seed: int = 0) -> SimpleNamespace:
    """Queries that are sure of a class and a disc each, some of the same stuff, some of nothing."""
    generator = torch.Generator().manual_seed(seed)
    cells = (16, 16) if isinstance(model, EomtGuest) else (24, 32)
    classes = torch.randn(1, queries, len(WORDS) + 1, generator=generator)
    sure = torch.randint(len(WORDS) + 1, (queries,), generator=generator)
    classes[0, torch.arange(queries), sure] += 8
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, cells[0]), torch.linspace(0, 1, cells[1]), indexing="ij"
    )
    x, y, radius = torch.rand(3, queries, 1, 1, generator=generator)
    logits = (radius * 0.15 + 0.08 - ((rows - y) ** 2 + (columns - x) ** 2).sqrt()) * 30
    logits += torch.randn(queries, *cells, generator=generator)
    return SimpleNamespace(
        class_queries_logits=classes, masks_queries_logits=logits[None], patch_offsets=None
    )


def copy_of(output: SimpleNamespace) -> SimpleNamespace:
    """The processors change their input."""
    return SimpleNamespace(**{k: v if v is None else v.clone() for k, v in vars(output).items()})


def read(model, output: SimpleNamespace, task: Task, size=SIZE, min_score=0.0) -> list[tuple]:
    """Class of the network, mask and score of each segment."""
    model.forward = lambda images, task: copy_of(output)
    (result,) = model.predict([np.zeros((*size, 3), np.uint8)], Request(task, min_score=min_score))
    class_of = {label: number for number, label in enumerate(model.words.places(None))}
    return [
        (class_of[label], mask, score)
        for label, mask, score in zip(result.labels, result.masks, result.scores, strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_panoptic(model, seed):
    output = output_of(model, seed=seed)
    separate = {"stuff_classes": []} if "Eomt" in type(model).__name__ else {"label_ids_to_fuse": set()}
    (theirs,) = model.processor.post_process_panoptic_segmentation(
        copy_of(output), target_sizes=[SIZE], **separate
    )  # stuff is fused here, as the processors give two segments one id where they do it
    ours = read(model, output, Task.PANOPTIC)
    pieces = [
        (info["label_id"], theirs["segmentation"].numpy() == info["id"], info["score"])
        for info in theirs["segments_info"]
    ]
    things = [piece for piece in pieces if piece[0] not in STUFF]
    kinds = {piece[0] for piece in pieces} & STUFF
    stuff = [
        (
            kind,
            np.any([mask for number, mask, _ in pieces if number == kind], axis=0),
            max(score for number, _, score in pieces if number == kind),
        )
        for kind in sorted(kinds)
    ]
    assert len(ours) == len(things) + len(stuff) and things and stuff
    for number, mask, score in [*things, *stuff]:
        assert any(
            number == other and (mask == found).all() and abs(score - rating) < 1e-5
            for other, found, rating in ours
        )


@pytest.mark.parametrize("min_score", [0.0, 0.5])
def test_instances(model, min_score):
    output = output_of(model, seed=4)
    reference = model.processor
    if "OneFormer" in type(model).__name__:  # its processor makes masks disjoint
        reference = transformers.MaskFormerImageProcessor()
    binary = {} if isinstance(model, EomtGuest) else {"return_binary_maps": True}
    (theirs,) = reference.post_process_instance_segmentation(
        copy_of(output), target_sizes=[SIZE], threshold=min_score, **binary
    )
    ours = read(model, output, Task.INSTANCE, min_score=min_score)
    infos = theirs["segments_info"]
    expected = sorted(info["score"] for info in infos if info["label_id"] not in STUFF)
    assert np.allclose(sorted(score for _, _, score in ours), expected, atol=1e-5) and expected
    drawn = 0
    for info in infos:
        if info["label_id"] in STUFF:
            continue
        (found,) = [m for n, m, s in ours if n == info["label_id"] and abs(s - info["score"]) < 2e-6]
        if binary:
            assert (found == theirs["segmentation"][info["id"]].numpy().astype(bool)).all()
        else:  # a map, in which later masks cover earlier ones
            shown = theirs["segmentation"].numpy() == info["id"]
            assert not (shown & ~found).any()
            drawn += shown.sum()
    assert binary or drawn


def test_semantic(model):
    size = (90, 90) if "Eomt" in type(model).__name__ else SIZE
    output = output_of(model, seed=2)
    (theirs,) = model.processor.post_process_semantic_segmentation(copy_of(output), target_sizes=[size])
    ours = read(model, output, Task.SEMANTIC, size)
    assert {number for number, _, _ in ours} == set(theirs.unique().tolist())
    assert all((mask == (theirs == number).numpy()).all() for number, mask, _ in ours)


def test_nothing_is_found_where_no_query_is_sure(model):
    output = output_of(model)
    output.class_queries_logits[..., -1] += 50
    assert read(model, output, Task.PANOPTIC) == []
    assert read(model, output, Task.INSTANCE, min_score=0.3) == []


def test_padding_is_no_part_of_an_image_of_eomt(guest_folder):
    model = omgseg.load(guest_folder("eomt"), device="cpu", dtype="float32")
    output = output_of(model)
    before = {task: read(model, output, task, (60, 120)) for task in model.abilities.tasks}
    output.masks_queries_logits[:, :, 10:] = 30.0  # the image takes the upper half
    for task, segments in before.items():
        after = read(model, output, task, (60, 120))
        assert [number for number, _, _ in after] == [number for number, _, _ in segments]
        assert all((one[1] == other[1]).all() for one, other in zip(after, segments, strict=True))
