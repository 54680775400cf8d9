"""Files named by where they are published: ``hf://owner/repository/file[@revision]``."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

SCHEME = "hf://"
_LOCATION = re.compile(r"hf://(?P<owner>[^/@]+)/(?P<name>[^/@]+)/(?P<file>[^@]+?)(@(?P<revision>.+))?")


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
    except (
        Exception
    ) as error:  # the client raises a dozen unrelated types, those of its HTTP library among them
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        offline = (
            "; HF_HUB_OFFLINE is set, so only the cache was searched: unset it to download"
            if constants.HF_HUB_OFFLINE
            else ""
        )
        raise FileNotFoundError(
            f"{text} is neither in the cache {constants.HF_HUB_CACHE} nor could it be downloaded: {reason}{offline}. "
            f"Or get https://huggingface.co/{repository}/resolve/{revision or 'main'}/{match['file']} by hand "
            "and name the local file"
        ) from error


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
