"""What all guests that segment images do: sizes, words, batches, the same answer as transformers."""

import numpy as np
import pytest
import torch

import omgseg
from omgseg.protocols import Example, Request, Segmenter
from omgseg.structures import NO_CLASS, Task, Vocabulary
from tests.guests.tiny import GUESTS, MASK_QUERIES, copied, transformers

ASKED = Vocabulary.from_names(["dog", "street"])
"""For the guests that have no words of their own."""
SHOWN = np.full((40, 50), NO_CLASS)
SHOWN[5:20, 5:30], SHOWN[25:35, 20:45] = 0, 1
EXAMPLE = Example(np.random.default_rng(6).integers(0, 256, (40, 50, 3), dtype=np.uint8), SHOWN)
"""For the guest that needs one."""


def request_of(model: Segmenter, task: Task) -> Request:
    if model.abilities.needs_example:
        return Request(task, ASKED, example=EXAMPLE)
    return Request(task, ASKED if model.abilities.open_vocabulary else None)


def alike(one: omgseg.Segments, other: omgseg.Segments) -> bool:
    """Equal to the rounding of a batch, which may swap segments of equal scores and move single pixels."""
    if len(one.scores) != len(other.scores):
        return False
    covered = [
        np.zeros(found.size) + sum(mask * (label + 1) for mask, label in zip(found.masks, found.labels))
        for found in (one, other)
    ]
    return np.allclose(one.scores, other.scores, atol=1e-3) and np.mean(covered[0] != covered[1]) < 0.01


@pytest.mark.parametrize("name", GUESTS)
def test_every_task_gives_segments_of_the_original_size(loaded, photo, name):
    model = loaded(name)
    assert isinstance(model, Segmenter)
    found = 0
    for task in model.abilities.tasks:
        request = request_of(model, task)
        (result,) = model.predict([photo], request)
        assert (result.task, result.size) == (task, photo.shape[:2])
        assert result.vocabulary == (request.words or model.abilities.vocabulary)
        assert all(tuple(mask["size"]) == photo.shape[:2] for mask in result.rles)
        if task is not Task.INSTANCE:
            assert result.masks.sum(0).max(initial=0) <= 1, "segments share no pixel"
        assert (np.diff(result.scores) <= 0).all() or task is not Task.INSTANCE
        found += len(result.rles)
    assert found


@pytest.mark.parametrize("name", GUESTS)
def test_a_batch_is_as_its_images_alone(loaded, photo, name):
    model = loaded(name)
    images = [photo, photo[::-1].copy(), photo[:, ::-1].copy()]
    if model.group_key((64, 200)) == model.group_key(photo.shape[:2]):
        images.append(photo[:64, :100].copy())
    for task in model.abilities.tasks:
        request = request_of(model, task)
        together = model.predict(images, request)
        assert all(
            alike(one, *model.predict([image], request)) for one, image in zip(together, images, strict=True)
        )


@pytest.mark.parametrize("name", ["mask2former", "eomt", "segformer"])
def test_some_of_the_words_give_the_segments_of_these(loaded, photo, name):
    model = loaded(name)
    task = max(model.abilities.tasks, key=lambda task: task is Task.INSTANCE)
    (all_words,) = model.predict([photo], Request(task))
    asked = Vocabulary(reversed(list(model.abilities.vocabulary)[1:]))
    (some,) = model.predict([photo], Request(task, asked))
    expected = [n for n in all_words.names if n in asked.names]
    assert sorted(some.names) == sorted(expected) and 0 < len(expected)
    with pytest.raises(ValueError, match="does not know the word 'unicorn'"):
        model.predict([photo], Request(task, Vocabulary.from_names(["unicorn"])))


def test_lower_scores_than_the_request_asks_for_are_left_out(loaded, photo):
    model = loaded("mask2former")
    (everything,) = model.predict([photo], Request(Task.INSTANCE))
    limit = float(np.median(everything.scores))
    (some,) = model.predict([photo], Request(Task.INSTANCE, min_score=limit))
    assert some.scores.tolist() == everything.scores[everything.scores >= limit].tolist()


@pytest.mark.parametrize("name", [*MASK_QUERIES, "segformer"])
def test_semantic_maps_are_those_of_transformers(loaded, guest_folder, photo, name):
    square = photo[:, :90]  # EoMT's processor would squeeze the padding of other images into them
    architecture = transformers.AutoConfig.from_pretrained(guest_folder(name)).architectures[0]
    network = getattr(transformers, architecture).from_pretrained(guest_folder(name)).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(guest_folder(name))
    inputs = processor(images=square, return_tensors="pt")
    if name == "oneformer":
        tokens = transformers.AutoTokenizer.from_pretrained(guest_folder(name))
        ids = tokens(
            ["the task is semantic"],
            padding="max_length",
            max_length=16,
            truncation=True,
            return_tensors="pt",
        )
        inputs["task_inputs"] = ids.input_ids * ids.attention_mask
    inputs.pop("patch_offsets", None)
    with torch.no_grad():
        output = network(**inputs)
    (expected,) = processor.post_process_semantic_segmentation(output, target_sizes=[(90, 90)])
    model = loaded(name)
    (result,) = model.predict([square], Request(Task.SEMANTIC))
    names = [network.config.id2label[label] for label in expected.unique().tolist()]
    for mask, found in zip(result.masks, result.labels, strict=True):
        words = {model.abilities.vocabulary[found].name, *model.abilities.vocabulary[found].synonyms}
        (label,) = {label for label, word in network.config.id2label.items() if word in words}
        assert (mask == (expected == label).numpy()).all()
    assert len(result.rles) == len(names)


def test_windows_of_eomt_are_merged_as_by_transformers(guest_folder, photo, tmp_path):
    folder = copied(guest_folder("eomt"), tmp_path / "eomt-windows")
    processor = transformers.EomtImageProcessor(
        size={"shortest_edge": 64, "longest_edge": None}, do_split_image=True
    )
    processor.save_pretrained(folder)
    model = omgseg.load(folder, device="cpu", dtype="float32")
    assert model.abilities.tasks == {Task.SEMANTIC} and model.group_key((9, 9)) == model.group_key((9, 12))
    images = [photo, photo.transpose(1, 0, 2).copy()]
    results = model.predict(images, Request(Task.SEMANTIC))
    sizes = [image.shape[:2] for image in images]
    inputs = processor(images=images, return_tensors="pt")
    with torch.no_grad():
        output = model.network(**inputs)
    expected = processor.post_process_semantic_segmentation(output, sizes)
    labels = {model.abilities.vocabulary[place].name: place for place in range(5)}
    of_class = [labels[name] for name in ("person", "sky", "car", "road", "dog")]
    for result, map_ in zip(results, expected, strict=True):
        ours = np.full(result.size, -1)
        for mask, label in zip(result.masks, result.labels, strict=True):
            ours[mask] = label
        assert (ours == np.array(of_class)[map_.numpy()]).all()


def test_the_task_of_oneformer_reaches_its_network(loaded, photo):
    model = loaded("oneformer")
    outputs = [model.forward([photo], task).class_queries_logits for task in (Task.PANOPTIC, Task.SEMANTIC)]
    assert not torch.equal(*outputs)


def test_clipseg_gives_each_pixel_to_its_likeliest_phrase(loaded, photo):
    model = loaded("clipseg")
    (result,) = model.predict([photo], Request(Task.SEMANTIC, ASKED))
    tokens = model.tokenizer(ASKED.names, padding=True, return_tensors="pt")
    pixels = model.processor(images=[photo] * 2, return_tensors="pt").pixel_values
    with torch.no_grad():
        logits = model.network(tokens.input_ids, pixels, attention_mask=tokens.attention_mask).logits
    maps = torch.nn.functional.interpolate(logits[None], photo.shape[:2], mode="bilinear")[0].sigmoid()
    best, labels = maps.max(0)
    for mask, label, score in zip(result.masks, result.labels, result.scores, strict=True):
        expected = ((labels == label) & (best >= 0.5)).numpy()
        assert (mask == expected).all()
        assert score == pytest.approx(best.numpy()[expected].mean(), abs=1e-4)
    assert len(result.rles) == len(labels[best >= 0.5].unique())
    with pytest.raises(ValueError, match="no words: CLIPSeg knows none"):
        model.predict([photo], Request(Task.SEMANTIC))


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_seggpt_gives_the_segments_of_transformers(loaded, photo, classes):
    model = loaded("seggpt")
    bands = (np.arange(40)[:, None] * (classes + 1) // 40 - 1).repeat(50, 1)
    words = Vocabulary.from_names([f"band {number}" for number in range(classes)])
    request = Request(Task.SEMANTIC, words, example=Example(EXAMPLE.image, bands))
    images = [photo, photo[:64, :100].copy()]
    given = dict(prompt_images=[EXAMPLE.image] * 2, prompt_masks=[bands + 1] * 2, num_labels=classes)
    inputs = model.processor(images=images, return_tensors="pt", input_data_format="channels_last", **given)
    with torch.no_grad():
        output = model.network(**inputs)
    sizes = [image.shape[:2] for image in images]
    expected = model.processor.post_process_semantic_segmentation(output, sizes, num_labels=classes)
    for result, theirs in zip(model.predict(images, request), expected, strict=True):
        assert (result.label_map == theirs.numpy() - 1).all()
        assert len(result.rles) == len(theirs[theirs > 0].unique()) > 0


def test_another_example_gives_another_answer_of_seggpt(loaded, photo):
    model = loaded("seggpt")
    first, *others = (
        model.predict([photo], Request(Task.SEMANTIC, ASKED, example=example))[0].label_map
        for example in (
            EXAMPLE,
            Example(EXAMPLE.image, SHOWN[::-1].copy()),
            Example(255 - EXAMPLE.image, SHOWN),
        )
    )
    assert all((first != other).any() for other in others)
    with pytest.raises(ValueError, match="SegGPT segments what an example shows"):
        model.predict([photo], Request(Task.SEMANTIC, ASKED))


@pytest.mark.parametrize("name", GUESTS)
def test_random_weights_need_no_file_of_weights(guest_folder, photo, tmp_path, name):
    folder = copied(guest_folder(name), tmp_path / name, without=("model.safetensors",))
    one, other = (omgseg.load(folder, "random", device="cpu", dtype="float32") for _ in range(2))
    request = request_of(one, Task.SEMANTIC)
    (first,), (second,) = one.predict([photo], request), other.predict([photo], request)
    assert first.rles == second.rles and first.labels.tolist() == second.labels.tolist()


def test_bfloat16_answers_in_the_original_size(guest_folder, photo):
    model = omgseg.load(guest_folder("mask2former"), device="cpu", dtype="bfloat16")
    for task in model.abilities.tasks:
        (result,) = model.predict([photo], Request(task))
        assert result.size == photo.shape[:2]
