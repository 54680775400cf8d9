"""Where a CLIP model's architecture and weights come from: open_clip's tables, its hub, or a local file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from omgseg.files import file_sha256


def clip_config(model_name: str) -> dict[str, Any]:
    """open_clip's description of a model: ``embed_dim``, ``vision_cfg``, ``text_cfg``.

    Raises:
        ValueError: open_clip does not know the name.
    """
    config = open_clip.get_model_config(model_name)
    if config is None:
        known = [name for name in open_clip.list_models() if "convnext" in name]
        raise ValueError(
            f"unknown CLIP model {model_name!r}. ConvNeXt models of open_clip: {', '.join(known)}. "
            "A model of your own is added by a module, named in the config's custom_imports, that calls "
            "open_clip.add_model_config(...)"
        )
    return config


def is_hub_tag(model_name: str, pretrained: str) -> bool:
    """Is `pretrained` one of open_clip's names of published weights for this model?"""
    return bool(get_pretrained_cfg(model_name, pretrained))


def pixel_statistics(model_name: str, pretrained: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (RGB, of pixel values 0..1) that the weights expect."""
    tag = get_pretrained_cfg(model_name, pretrained) if pretrained else {}
    mean = tag.get("mean") or open_clip.OPENAI_DATASET_MEAN
    std = tag.get("std") or open_clip.OPENAI_DATASET_STD
    return tuple(mean), tuple(std)


def locate_weights(model_name: str, pretrained: str, cache_dir: str | None = None) -> Path:
    """The local file of a model's weights, downloaded first if need be.

    Args:
        model_name: open_clip's model name.
        pretrained: one of open_clip's tags for this model, or a local file.
        cache_dir: folder of downloads; None is the hub's own cache.

    Raises:
        FileNotFoundError: no such file, or the download failed.
        ValueError: neither a tag nor a file.
    """
    if is_hub_tag(model_name, pretrained):
        return _download(model_name, pretrained, cache_dir)
    path = Path(pretrained).expanduser()
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(_missing(model_name, pretrained, f"the file {path} does not exist"))
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    raise ValueError(
        f"pretrained={pretrained!r} is neither a file nor published weights of {model_name!r}; "
        f"its tags: {', '.join(tags) or 'none'}"
    )


def _download(model_name: str, tag: str, cache_dir: str | None) -> Path:
    try:
        return Path(download_pretrained(get_pretrained_cfg(model_name, tag), cache_dir=cache_dir))
    except Exception as error:  # the hub's client raises a dozen unrelated types when there is no network
        reason = f"they are not in the download cache, and the download failed ({error})"
        raise FileNotFoundError(_missing(model_name, tag, reason)) from error


def _missing(model_name: str, pretrained: str, reason: str) -> str:
    source = get_pretrained_cfg(model_name, pretrained)
    page = (
        f"https://huggingface.co/{source['hf_hub'].strip('/')}" if source.get("hf_hub") else "its publisher"
    )
    return (
        f"the weights {pretrained!r} of CLIP model {model_name!r} are missing: {reason}. "
        "Three ways to give them: (1) run once with a network, and copy the download cache "
        f"(cache_dir, or ~/.cache/huggingface) to this machine; (2) get the file from {page} "
        "and set pretrained='/path/to/open_clip_model.safetensors' (or .bin, .pt); "
        "(3) set pretrained=None for random weights, e.g. when load_from brings trained ones"
    )


def weights_id(model_name: str, pretrained: str) -> str:
    """A short text that changes when the weights do: the tag, or a hash of the file's content.

    Raises:
        FileNotFoundError, ValueError: as :func:`locate_weights`; a tag is not downloaded.
    """
    if is_hub_tag(model_name, pretrained):
        return pretrained
    path = locate_weights(model_name, pretrained).resolve()
    stat = path.stat()
    return f"sha256:{_file_hash(path, stat.st_size, stat.st_mtime_ns)}"


@lru_cache(maxsize=16)
def _file_hash(path: Path, size: int, modified: int) -> str:  # size and time: a replaced file is hashed again
    return file_sha256(path)
