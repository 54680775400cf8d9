"""The toy world: seeds, categories, motion and what is annotated."""

from dataclasses import replace

import numpy as np
import pytest

from omgseg.toy.annotation import MIN_VISIBLE, VOID, annotate
from omgseg.toy.categories import BASE_THINGS, NAMES, NOVEL_THINGS, NUM_THINGS, THINGS, VIPSEG_IDS, vocabulary
from omgseg.toy.world import SIZE, Scene, Thing, World, render

BASE = [THINGS.index(name) for name in BASE_THINGS]


def test_parts_of_novel_names_occur_in_base_names():
    base_words = {word for name in BASE_THINGS for word in name.split()}
    assert len(NOVEL_THINGS) == 6 and len(THINGS) == 30
    assert not set(NOVEL_THINGS) & set(BASE_THINGS)
    assert all(word in base_words for name in NOVEL_THINGS for word in name.split())


def test_vocabularies():
    full, base = vocabulary(), vocabulary(include_novel=False)
    assert full.names == list(NAMES)
    assert (full.num_things, full.num_stuff, base.num_things) == (30, 5, 24)
    assert all(full[full.id_to_label[category.id]].name == category.name for category in base)
    assert all(number < 5 for index, number in VIPSEG_IDS.items() if index >= NUM_THINGS)
    assert sorted(VIPSEG_IDS.values()) == list(range(29))


def test_seeds_reproduce():
    first, again, other = (World(np.random.default_rng(seed)).image_scene() for seed in (3, 3, 4))
    assert first.things == again.things
    assert np.array_equal(render(first).image, render(again).image)
    assert not np.array_equal(render(first).image, render(other).image)


def test_required_categories_come_first_and_others_are_allowed_ones():
    world = World(np.random.default_rng(0), BASE)
    novel = THINGS.index(NOVEL_THINGS[0])
    assert world.image_scene([novel]).things[0].category == novel
    assert {thing.category for _ in range(20) for thing in world.image_scene().things} <= set(BASE)


@pytest.fixture(scope="module")
def empty_scene() -> Scene:
    scene = World(np.random.default_rng(1)).image_scene()
    return Scene((), scene.background, scene.stuff, scene.pan_start, (0.0, 0.0), 1.0, 0)


def thing(position: tuple[float, float], category: int = 0, velocity: tuple[float, float] = (0, 0)) -> Thing:
    return Thing(category, 4, 20.0, 1.0, position, velocity, 0.0, 0.0, 9.0, 0.0, (220.0, 40.0, 40.0))


def with_things(scene: Scene, *things: Thing) -> Scene:
    return Scene(things, scene.background, scene.stuff, scene.pan_start, scene.pan, scene.light, 0)


def test_things_in_front_hide_others(empty_scene):
    scene = with_things(empty_scene, thing((60, 60), category=1), thing((64, 60), category=7))
    annotation = annotate(scene, render(scene))
    masks = annotation.things()
    assert annotation.classes[60, 70] == 7 and annotation.classes[60, 47] == 1
    assert masks[2].sum() > 3 * masks[1].sum()
    assert not (masks[1] & masks[2]).any()


def test_a_thing_leaves_the_frame(empty_scene):
    scene = with_things(empty_scene, thing((100, 60), velocity=(8, 0)))
    areas = [annotate(scene, render(scene, time)).things().get(1, np.zeros(1)).sum() for time in range(7)]
    assert areas[0] > 700 and areas[-1] == 0
    assert all(later <= earlier for earlier, later in zip(areas, areas[1:], strict=False))


def test_what_hardly_shows_is_void(empty_scene):
    scene = with_things(empty_scene, thing((-12.6, 60)))  # its edge reaches into column 0 or 1
    frame = render(scene)
    visible = frame.thing == 0
    assert 0 < visible.sum() < MIN_VISIBLE * 2
    annotation = annotate(scene, frame)
    expected_void = visible.sum() < MIN_VISIBLE
    assert (annotation.classes[visible] == VOID).all() == expected_void
    assert annotation.classes.shape == (SIZE, SIZE)


def test_segments_tile_the_annotated_pixels():
    world = World(np.random.default_rng(8))
    for _ in range(10):
        scene = world.image_scene()
        annotation = annotate(scene, render(scene))
        count = sum(segment.mask.astype(int) for segment in annotation.segments())
        assert np.array_equal(count, (annotation.classes != VOID).astype(int))
        assert all(segment.mask.sum() >= MIN_VISIBLE for segment in annotation.segments())
        for segment in annotation.segments():
            if segment.instance:
                assert scene.things[segment.instance - 1].category == segment.category


def test_videos_have_entering_leaving_and_occlusion():
    world = World(np.random.default_rng(0))
    entering = leaving = occluded = 0
    for _ in range(12):
        scene = world.video_scene(8)
        seen = np.array(
            [
                [k in annotate(scene, render(scene, t)).things() for t in range(8)]
                for k in range(1, len(scene.things) + 1)
            ]
        )
        entering += (~seen[:, 0] & seen.any(1)).sum()
        leaving += (seen[:, 0] & ~seen[:, -1]).sum()
        frame = render(scene, 4)
        alone = render(replace(scene, things=scene.things[:1]), 4)
        occluded += (alone.thing == 0).sum() > (frame.thing == 0).sum()
    assert entering >= 4 and leaving >= 4 and occluded >= 1
