"""Small numbers for what a stream has shown."""

from __future__ import annotations

import torch
from torch import Tensor


class Identities:
    """Numbers entities, or an entity's classes, from 1 in the order in which they are first shown.

    A number is never given twice. What is no longer remembered by the stream is forgotten here, too.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, dict[int, int]] = {}
        self._last = 0

    def numbers(self, entities: Tensor, labels: Tensor | None = None) -> Tensor:
        """The number, int64 (N,), of each entity (N,), or of each pair of an entity and a label (N,)."""
        labels = torch.zeros_like(entities) if labels is None else labels
        found = [self._number(*pair) for pair in zip(entities.tolist(), labels.tolist(), strict=True)]
        return torch.tensor(found, dtype=torch.int64, device=entities.device)

    def keep(self, entities: Tensor) -> None:
        """Forget all others."""
        known = set(entities.tolist())
        self._numbers = {entity: own for entity, own in self._numbers.items() if entity in known}

    def _number(self, entity: int, label: int) -> int:
        own = self._numbers.setdefault(entity, {})
        if label not in own:
            self._last += 1
            own[label] = self._last
        return own[label]
