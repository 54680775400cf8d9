"""Fixtures that the tests of the package and of the projects share."""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


def _folder_from_environment(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"{variable}={value} is not a folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def caches_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither fill the caches of whoever runs them nor profit from them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMGSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def imports_out_of_garbage_collection() -> Iterator[None]:
    """Every dataset of mmengine collects garbage once: half a second if all imported objects are looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def configs_are_not_formatted() -> Iterator[None]:
    """mmengine formats the text of a config for every run, which takes one to two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yapf.yapflib.yapf_api.FormatCode", lambda text, **style: (text, True))
        yield


@pytest.fixture(autouse=True)
def closed_log_files_are_forgotten() -> None:
    """mmengine writes to the log file of the last run in this process, which a web server's logging may have closed."""
    if "mmengine.logging" in sys.modules:
        logger = sys.modules["mmengine.logging"].MMLogger.get_current_instance()
        logger.handlers = [
            handler
            for handler in logger.handlers
            if not (isinstance(handler, logging.FileHandler) and handler.stream is None)
        ]


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``-m golden`` runs every test that reads the golden files."""
    for item in items:
        if "golden_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.golden)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder with the reference tensors and metric values (`metrics/`, `model/`)."""
    return _folder_from_environment("OMGSEG_GOLDEN")


@pytest.fixture(scope="session")
def filled(golden_dir) -> Callable[[str, tuple[int, ...]], torch.Tensor]:
    """``filled(name, shape)``: the tensor that a published name stands for."""
    sys.path.insert(0, str(golden_dir))
    try:
        from filled import filled
    finally:
        sys.path.remove(str(golden_dir))
    return filled


@pytest.fixture(scope="session")
def golden_pictures(golden_dir) -> ModuleType:
    """The module that makes inputs and weights of the golden values of the SAM family."""
    sys.path.insert(0, str(golden_dir))
    try:
        import pictures
    finally:
        sys.path.remove(str(golden_dir))
    return pictures


@pytest.fixture(scope="session")
def answers_as_published(golden_pictures) -> Callable[[nn.Module, torch.Tensor, dict], None]:
    """``answers_as_published(model, embedding, cases)``: prompts of golden ``cases`` give a model of the SAM family the
    published tokens, masks and IoU."""

    def same(ours: torch.Tensor, published: torch.Tensor) -> bool:
        assert ours.shape == published.shape
        return float((ours - published).abs().max() / published.abs().max()) < 1e-4

    def check(model: nn.Module, embedding: torch.Tensor, cases: dict) -> None:
        for name, case in cases.items():
            masks = None
            if "mask_seed" in case:
                side = model.prompt_encoder.mask_size
                masks = torch.from_numpy(golden_pictures.mask_prompt(case["mask_seed"], side))
            given = case.get("points"), case.get("labels"), case.get("boxes"), masks
            sparse, _ = model.prompt_encoder(*given)
            found = model.decode(embedding, *given)
            assert same(sparse, case["sparse"]), name
            assert same(found.tokens, case.get("queries", found.tokens)), name
            assert same(found.logits[:, :, ::7, ::7], case["low_res_sample"]), name
            assert same(found.iou, case["iou"]), name

    return check


@pytest.fixture(scope="session")
def real_samples_dir() -> Path:
    """Folder with a few real photos, frames and annotations in the official dataset layouts."""
    return _folder_from_environment("OMGSEG_REAL_SAMPLES")


@pytest.fixture(scope="session")
def spread_weights() -> Callable[[nn.Module, float], None]:
    """``spread_weights(model, amount)`` changes random weights so that a model finds several things and stuff."""
    from tests.tiny_omgseg import spread_weights

    return spread_weights
