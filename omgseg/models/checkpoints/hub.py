"""Files and models named by where they are published: ``hf://owner/repository/file[@revision]`` is a file,
``hf:owner/name[@revision]`` a model, the folder of a whole repository."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

SCHEME = "hf://"
_LOCATION = re.compile(r"hf://(?P<owner>[^/@]+)/(?P<name>[^/@]+)/(?P<file>[^@]+?)(@(?P<revision>.+))?")
MODEL_SCHEME = "hf:"
_MODEL = re.compile(r"hf:(?P<repository>[^/@:]+/[^/@:]+)(@(?P<revision>.+))?")
MODEL_FILES = ("*.json", "*.txt", "model.safetensors", "model-*-of-*.safetensors")
"""What a model is read from: configs, words of tokenizers, weights. No pickles and no code."""


def local_file(location: str | Path) -> Path:
    """The local file that a path or an ``hf://`` location names.

    Only such a location downloads, and only what the cache of huggingface_hub ($HF_HOME, $HF_HUB_CACHE) lacks.

    Args:
        location: a path, or ``hf://owner/repository/file``; ``@revision`` (branch, tag or commit) may follow.

    Raises:
        ValueError: the location has another form.
        FileNotFoundError: it is not in the cache and cannot be downloaded; the message says how to go on. Whether a
            plain path exists is not checked.
    """
    text = str(location)
    if not text.startswith(SCHEME):
        return Path(location).expanduser()
    match = _LOCATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is not of the form hf://owner/repository/file[@revision]")
    repository, revision = f"{match['owner']}/{match['name']}", match["revision"]
    try:
        return _cached_or_downloaded(repository, match["file"], revision)
    except GatedRepoError as error:
        raise _gated(text, repository) from error
    except (
        Exception
    ) as error:  # the client raises a dozen unrelated types, those of its HTTP library among them
        raise FileNotFoundError(
            f"{_not_to_be_had(text, error)}. "
            f"Or get https://huggingface.co/{repository}/resolve/{revision or 'main'}/{match['file']} by hand "
            "and name the local file"
        ) from error


def is_model_location(location: object) -> bool:
    """Whether it names a model of the hub, ``hf:owner/name``; ``hf://...`` names a file."""
    text = str(location)
    return text.startswith(MODEL_SCHEME) and not text.startswith(SCHEME)


def model_folder(location: str, download: bool) -> Path:
    """The local folder of a model of the hub; only its :data:`MODEL_FILES` are downloaded.

    Args:
        location: ``hf:owner/name``; ``@revision`` (branch, tag or commit) may follow.
        download: get what the cache of huggingface_hub lacks. Else no connection is opened.

    Raises:
        ValueError: the location has another form.
        FileNotFoundError: the model is not in the cache, or cannot be downloaded; the message says how to go on.
    """
    match = _MODEL.fullmatch(location)
    if match is None:
        raise ValueError(f"{location} is not of the form hf:owner/name[@revision]")
    repository = match["repository"]
    try:
        return _snapshot(repository, match["revision"], download)
    except GatedRepoError as error:
        raise _gated(location, repository) from error
    except Exception as error:
        if not download:
            raise FileNotFoundError(
                f"{location} is not on this machine; weights={location!r} downloads it"
            ) from error
        raise FileNotFoundError(
            f"{_not_to_be_had(location, error)}. Or get the files of https://huggingface.co/{repository} by hand and "
            "name their folder"
        ) from error


def _snapshot(repository: str, revision: str | None, download: bool) -> Path:
    """See :func:`_cached_or_downloaded`."""
    get = partial(
        huggingface_hub.snapshot_download, repository, revision=revision, allow_patterns=list(MODEL_FILES)
    )
    if not download:
        return Path(get(local_files_only=True))
    try:
        huggingface_hub.model_info(repository, revision=revision)
    except Exception as error:
        try:
            return Path(get(local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
    return Path(get())


def _gated(location: str, repository: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"{location} is gated: accept its licence at https://huggingface.co/{repository}, then log in with "
        "`hf auth login` or set HF_TOKEN"
    )


def _not_to_be_had(location: str, error: Exception) -> str:
    """The beginning of a sentence about a failed download."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    offline = (
        "; HF_HUB_OFFLINE is set, so only the cache was searched: unset it to download"
        if constants.HF_HUB_OFFLINE
        else ""
    )
    return f"{location} is neither in the cache {constants.HF_HUB_CACHE} nor could it be downloaded: {reason}{offline}"


def _cached_or_downloaded(repository: str, file: str, revision: str | None) -> Path:
    """Ask the hub once, as its client repeats a failing request for long; without an answer the cache serves."""
    try:
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, file, revision=revision))
    except Exception as error:
        try:
            return Path(
                huggingface_hub.hf_hub_download(repository, file, revision=revision, local_files_only=True)
            )
        except LocalEntryNotFoundError:
            raise error from None
    return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
