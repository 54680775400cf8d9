"""The text encoder: categories' words to unit vectors in CLIP space, cached on disk."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from mmengine.logging import print_log
from open_clip.model import _build_text_tower
from torch import Tensor, nn

from omgseg.models.checkpoint_io import read_state_dict
from omgseg.models.clip.templates import resolve_templates
from omgseg.models.clip.text_cache import TextCache
from omgseg.models.clip.weights import clip_config, locate_weights, weights_id
from omgseg.models.convert import load_state
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

_SENTENCES_AT_ONCE = 256
WORDS_IN_MEMORY = 10_000
"""Words whose embeddings stay in memory, 31 MB at E = 768; those used last."""


@MODELS.register_module(name="CLIPTextEncoder")
class TextEncoder:
    """Text embeddings of a vocabulary.

    No parameter of the segmentor: the text tower is built only when a word is not in the cache, on the
    accelerator if there is one, and released afterwards. With the words in the cache, neither weights nor a
    network are needed.

    Args:
        model_name: an open_clip model, the same as the image encoder's.
        pretrained: open_clip's tag, or a local file of a whole CLIP model; None is random (the same every
            time, not cached on disk), with a warning.
        templates: name of a set in :data:`~omgseg.models.clip.templates.TEMPLATES`, or a list of sentences
            with one ``{}`` each.
        cache_dir: folder of cached embeddings and of downloaded weights. None is ``$OMGSEG_CACHE``, else
            ``~/.cache/omgseg``, and the hub's own folder for weights.

    Raises:
        ValueError: unknown model or templates.
        FileNotFoundError: `pretrained` is a local file that does not exist.
    """

    def __init__(
        self,
        model_name: str = "convnext_large_d_320",
        pretrained: str | None = None,
        templates: str | Sequence[str] = "vild",
        cache_dir: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.pretrained = pretrained
        self.templates = resolve_templates(templates)
        self.embed_dim: int = clip_config(model_name)["embed_dim"]
        self._download_dir = cache_dir
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._cache: TextCache | None = None
        if pretrained is not None:
            identity = weights_id(model_name, pretrained)
            self._cache = TextCache(cache_dir, model_name, identity, self.templates, self.embed_dim)

    @property
    def cache_path(self) -> Path | None:
        """The file that holds this encoder's embeddings; None with random weights, which are not kept."""
        return None if self._cache is None else self._cache.path

    def __call__(self, vocabulary: Vocabulary) -> Tensor:
        """Embed every word of every category.

        Args:
            vocabulary: C categories; P is the largest number of words that one of them has.

        Returns:
            (C, P, E) float32 unit vectors on the CPU. A category of fewer than P words repeats its first one,
            which leaves the maximum over words as it is.

        Raises:
            FileNotFoundError: words are not in the cache and the weights are missing; says how to give them.
        """
        words_of = [category.words for category in vocabulary]
        most = max((len(words) for words in words_of), default=1)
        known = self._embeddings_of(list(dict.fromkeys(word for words in words_of for word in words)))
        rows = [
            torch.stack([known[word] for word in (*words, *words[:1] * (most - len(words)))])
            for words in words_of
        ]
        return torch.stack(rows) if rows else torch.zeros(0, most, self.embed_dim)

    def _embeddings_of(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Embeddings (E,) of different words: from memory, from the cache, else from the text tower."""
        found = {word: self._known[word] for word in words if word in self._known}
        missing = [word for word in words if word not in found]
        if missing and self._cache is not None:
            found |= self._cache.read(missing)
            missing = [word for word in missing if word not in found]
        if missing:
            embedded = dict(zip(missing, self._embed(missing).unbind(), strict=True))
            found |= embedded
            if self._cache is not None:
                self._cache.add(embedded)
        self._keep(found)
        return found

    def _keep(self, embeddings: Mapping[str, Tensor]) -> None:
        """Hold on to the words used last."""
        for word, embedding in embeddings.items():
            if word not in self._known:
                self._known[word] = embedding.clone()  # a view would hold its whole batch
            self._known.move_to_end(word)
        while len(self._known) > WORDS_IN_MEMORY:
            self._known.popitem(last=False)

    @torch.no_grad()
    def _embed(self, words: Sequence[str]) -> Tensor:
        """(len(words), E): mean over templates of the unit embeddings of the sentences, normalised."""
        tower = self._build_tower()
        sentences = [template.format(word) for word in words for template in self.templates]
        tokens = open_clip.get_tokenizer(self.model_name)(sentences)
        tokens = _cut_padding(tower, tokens)
        device = get_device()
        tower.to(device)
        batches = [tower(batch.to(device)).float().cpu() for batch in tokens.split(_SENTENCES_AT_ONCE)]
        embeddings = F.normalize(torch.cat(batches), dim=-1).unflatten(0, (len(words), len(self.templates)))
        return F.normalize(embeddings.mean(1), dim=-1)

    def _build_tower(self) -> nn.Module:
        config = clip_config(self.model_name)
        path = None
        if self.pretrained is None:
            print_log(
                f"CLIP text encoder {self.model_name!r} has RANDOM weights (pretrained=None): "
                "labels mean nothing",
                logger="current",
                level=logging.WARNING,
            )
        else:
            path = self._locate_weights()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random towers agree between processes and runs
            tower = _build_text_tower(
                config["embed_dim"], config["text_cfg"], config.get("quick_gelu", False)
            )
        if path is not None:
            weights = read_state_dict(path)
            prefix = "text." if any(name.startswith("text.") for name in weights) else ""
            own = {name: weights[prefix + name] for name in tower.state_dict() if prefix + name in weights}
            try:
                load_state(tower, own)
            except ValueError as error:
                raise ValueError(
                    f"{path} does not fit the text tower of {self.model_name!r}: {error}"
                ) from error
        return tower.eval()

    def _locate_weights(self) -> Path:
        try:
            return locate_weights(self.model_name, self.pretrained, self._download_dir)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"the text embeddings are not all in the cache {self.cache_path} "
                f"(tools/text_embeddings.py fills it on a machine that has the weights), and {error}"
            ) from error


def _cut_padding(tower: nn.Module, tokens: Tensor) -> Tensor:
    """Drop the columns that are padding in every sentence: exact for a causal tower, and 5 times less work.

    In a causal tower no token sees what comes after it, and the embedding is read at the sentence's end.
    """
    if getattr(tower, "attn_mask", None) is None or tower.pool_type not in ("argmax", "eos"):
        return tokens
    length = int((tokens != tower.pad_id).any(0).nonzero().max()) + 1
    tower.attn_mask = tower.attn_mask[:length, :length]
    return tokens[:, :length]
