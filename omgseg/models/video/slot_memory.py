"""What a video stream remembers of its entities: one row each, however long the video is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

CAPACITY = 2
"""Slots for each query of the model; the half that shows nothing now remembers entities that have left."""
FADING = 0.5
"""How much of its past a slot forgets in a clip that shows its entity clearly."""
RECOGNITION = 0.8
"""An entity whose query has a lower cosine similarity with the slot is another one."""
PATIENCE = 0.1
"""An entity that was away must match by this much more than one that was just here."""
SEEN = 0.5
"""From this presence on an entity counts as seen."""
NEVER = -1


class SlotMemory:
    """Entities of a stream, a slot each, found again by what their queries look like.

    A slot holds means over the clips in which its entity was seen, weighted by how clearly. A clip without it
    changes nothing, so that an entity that returns finds its slot as it has left it. The queries of a clip compete
    for the slots (as in MinVIS, arXiv:2208.02245); an entity that resembles none takes the slot of the one
    that has been away for the longest time.

    Attributes:
        means: by name (M, ...), what was given to :meth:`update`.
        identities: int64 (M,), numbers of the entities, from 1, never used again; 0 is an empty slot.
    """

    def __init__(self) -> None:
        self.means: dict[str, Tensor] = {}
        self.identities = torch.empty(0, dtype=torch.int64)
        self._weights = torch.empty(0)
        self._last_seen = torch.empty(0, dtype=torch.int64)
        self._kept = torch.empty(0, dtype=torch.int64)
        self._clip = 0
        self._born = 0

    def update(self, queries: Tensor, presence: Tensor, **values: Tensor) -> Tensor:
        """Assign the queries of a clip to slots, and remember what they say.

        Args:
            queries: (Q, D), features before the decoder's norm.
            presence: (Q,), how sure it is that the query shows an entity, in 0..1.
            values: (Q, ...) by name, of which means are kept.

        Returns:
            int64 (Q,): a slot for each query, all different.
        """
        directions = F.normalize(queries.float(), dim=-1)
        presence = presence.float().clamp(min=1e-4)
        slots = self._match(directions, presence) if self._clip else self._start(presence)
        past = self._weights[slots] * (1 - FADING * presence)
        self._weights[slots] = past + presence
        share = presence / (past + presence)
        for name, value in {"queries": directions, **values}.items():
            self._remember(name, slots, value.float(), share)
        self._last_seen[slots[presence >= SEEN]] = self._clip
        self._clip += 1
        return slots

    def keep(self, slots: Tensor) -> None:
        """Never give these slots (K,) to others, however long their entities are away; instead of earlier ones."""
        self._kept = slots

    def _start(self, presence: Tensor) -> Tensor:
        size, device = CAPACITY * len(presence), presence.device
        self.identities = torch.zeros(size, dtype=torch.int64, device=device)
        self._weights = torch.zeros(size, device=device)
        self._last_seen = torch.full((size,), NEVER, device=device)
        slots = torch.arange(len(presence), device=device)
        self._kept = slots[:0]
        self._vacate(slots)
        return slots

    def _vacate(self, slots: Tensor) -> None:
        """Give slots to entities that nothing is known of."""
        self.identities[slots] = torch.arange(1, len(slots) + 1, device=slots.device) + self._born
        self._weights[slots] = 0
        self._last_seen[slots] = NEVER
        self._born += len(slots)

    def _remember(self, name: str, slots: Tensor, value: Tensor, share: Tensor) -> None:
        if name not in self.means:
            self.means[name] = value.new_zeros(len(self.identities), *value.shape[1:])
        share = share.view(-1, *[1] * (value.dim() - 1))
        old = self.means[name][slots]
        self.means[name][slots] = torch.where(share < 1, old + share * (value - old), value)

    def _match(self, directions: Tensor, presence: Tensor) -> Tensor:
        used = self.identities.nonzero().squeeze(1)
        with torch.autocast(directions.device.type, enabled=False):  # else the similarities become bfloat16
            similarity = directions @ F.normalize(self.means["queries"][used], dim=-1).t()
        away = (self._last_seen[used] < self._clip - 1) & (self._last_seen[used] != NEVER)
        cost = PATIENCE * away - similarity
        _, columns = linear_sum_assignment(cost.cpu().numpy())
        columns = torch.from_numpy(columns).to(used.device)
        slots = used[columns]
        unlike = similarity.gather(1, columns.unsqueeze(1)).squeeze(1) < RECOGNITION
        strange = unlike & (presence >= SEEN) & (self._last_seen[slots] != NEVER)
        if strange.any():
            slots[strange] = self._longest_away(int(strange.sum()), taken=slots[~strange])
            self._vacate(slots[strange])
        return slots

    def _longest_away(self, count: int, taken: Tensor) -> Tensor:
        """Slots that are empty, or whose entity was seen the longest time ago."""
        last_seen = self._last_seen.clone()
        last_seen[torch.cat([taken, self._kept])] = self._clip + 1
        return last_seen.argsort(stable=True)[:count]
