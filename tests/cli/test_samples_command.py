"""omgseg samples."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from omgseg.cli.samples import FILM_FRAMES, FRAMES, NAMES, PHOTOS
from omgseg.inference import open_source

ROOT = Path(__file__).parents[2]


def test_the_files_of_the_recipes_are_drawn(run, tmp_path):
    status, out, _ = run("samples", tmp_path / "new")
    assert status == 0 and out.splitlines() == [str(tmp_path / "new" / name) for name in NAMES]
    folder = tmp_path / "new"
    street = next(iter(open_source(folder / "street.jpg"))).image
    assert street.std() > 20
    film = list(open_source(folder / "film.mp4"))
    assert len(film) == FILM_FRAMES and (film[0].image != film[-1].image).any()
    frames = [frame.image for frame in open_source(folder / "frames", as_video=True)]
    assert len(frames) == FRAMES and len(list(open_source(folder / "photos"))) == PHOTOS
    objects = np.asarray(Image.open(folder / "objects.png"))
    assert objects.shape == frames[0].shape[:2] == film[0].image.shape[:2]
    assert sorted(np.unique(objects)) == list(range(objects.max() + 1)) and objects.max() >= 2
    assert np.abs(film[0].image.astype(int) - frames[0]).mean() < 10


def test_all_recipes_use_these_names():
    recipes = (ROOT / "README.md").read_text() + (ROOT / "docs" / "use" / "python.md").read_text()
    used = set(re.findall(r"omgseg (?:predict|label) ([\w.]+)", recipes)) | set(
        re.findall(r'seg(?:\.\w+)?\("([\w.]+)', recipes)
    )
    assert {"street.jpg", "film.mp4", "photos"} <= used <= set(NAMES)


def test_equal_calls_draw_equal_files(run, tmp_path):
    for name in ("a", "b"):
        assert run("samples", tmp_path / name)[0] == 0
    for file in ("street.jpg", "objects.png", "frames/00001.jpg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_files_of_the_user_are_kept(run, tmp_path):
    (tmp_path / "film.mp4").write_text("mine")
    status, _, error = run("samples", tmp_path)
    assert status == 2 and "film.mp4 exists; give another folder, or --overwrite" in error
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert run("samples", tmp_path, "--overwrite")[0] == 0
    assert open_source(tmp_path / "film.mp4").is_video
