"""Generative adversarial active learning: SO-GAAL and MO-GAAL (Liu et al., arXiv:1809.10816).

Generators learn to make rows that look real; the discriminator, which learns to tell them apart, ends up with a
boundary around the real rows. MO-GAAL has k generators, each of which aims at real rows of another density. The scores
are right as long as the generators have not learned to copy the rows: then their sign turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SUB_GENERATORS = 10
BATCH = 500
ITERATIONS = 200
"""Batches after which the generators stop; the discriminator goes on for twice as many."""
_CLIP = 1e-7


def slices(rows: int, k: int) -> list[tuple[int, int]]:
    """Which rows of a batch each of k generators makes: the first most of them, the last what is left."""
    unit = rows // (k * (k + 1) // 2)
    ends = [sum(k - j for j in range(i + 1)) * unit for i in range(k - 1)]
    return list(zip([0, *ends], [*ends, rows], strict=True))


def cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, mean over the last axis."""
    p = p.clamp(_CLIP, 1 - _CLIP)
    return -(target * p.log() + (1 - target) * (1 - p).log()).mean(-1)


class Momentum:
    """Gradient descent whose velocity holds the learning rate: v = m v - lr g; w += v, with lr / (1 + decay step)."""

    def __init__(self, weights: Sequence[Tensor], lr: float, momentum: float, decay: float) -> None:
        self._weights, self._lr, self._momentum, self._decay = weights, lr, momentum, decay
        self._velocity = [torch.zeros_like(weight) for weight in weights]
        self._steps = 0

    @torch.no_grad()
    def step(self, loss: Tensor) -> None:
        """Go down a loss."""
        lr = self._lr / (1 + self._decay * self._steps)
        gradients = torch.autograd.grad(loss, self._weights)
        for weight, velocity, gradient in zip(self._weights, self._velocity, gradients, strict=True):
            velocity.mul_(self._momentum).sub_(lr * gradient)
            weight.add_(velocity)
        self._steps += 1


@dataclass(frozen=True)
class Step:
    """What happened in a step: the made rows (m, d), the discriminator's loss and its view (n,) of all rows after it,
    and the targets (k,) and losses (k,) of the generators."""

    fake: Tensor
    d_loss: float
    p: Tensor
    targets: Tensor
    g_losses: Tensor


class Gaal:
    """Discriminator and generators.

    Args:
        discriminator: W1 (d, h), b1 (h), W2 (h, 1), b2 (1): ReLU, then a sigmoid.
        generators: for each of k: W1 (d, d), b1 (d), W2 (d, d), b2 (d), ReLU after both. k = 1 is SO-GAAL.
        lr_d, lr_g: learning rates.
        momentum, decay: see :class:`Momentum`.
    """

    def __init__(
        self,
        discriminator: Sequence[Tensor],
        generators: Sequence[Sequence[Tensor]],
        lr_d: float = 0.01,
        lr_g: float = 1e-4,
        momentum: float = 0.9,
        decay: float = 1e-6,
    ) -> None:
        self.k = len(generators)
        self.discriminator = [weight.clone().requires_grad_() for weight in discriminator]
        # stacked: one product for all generators
        self.generators = [torch.stack(weights).requires_grad_() for weights in zip(*generators, strict=True)]
        self._d_optimizer = Momentum(self.discriminator, lr_d, momentum, decay)
        self._g_optimizer = Momentum(self.generators, lr_g, momentum, decay)

    @classmethod
    def initial(cls, rows: int, columns: int, k: int, random: torch.Generator) -> Gaal:
        """The published start: generators that change nothing, and a discriminator of sqrt(rows) units."""
        hidden = math.ceil(math.sqrt(rows))
        discriminator = []
        for inputs, outputs in ((columns, hidden), (hidden, 1)):
            std = inputs**-0.5
            weight = torch.empty(inputs, outputs)
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=random)
            discriminator += [weight, torch.zeros(outputs)]
        return cls(discriminator, [[torch.eye(columns), torch.zeros(columns)] * 2] * k)

    def discriminate(self, rows: Tensor) -> Tensor:
        """How real rows (..., d) look: (...), 0..1."""
        w1, b1, w2, b2 = self.discriminator
        return ((rows @ w1 + b1).relu() @ w2 + b2).sigmoid().squeeze(-1)

    def generate(self, noise: Tensor) -> Tensor:
        """Rows (k, m, d) of all generators from noise (m, d)."""
        w1, b1, w2, b2 = self.generators
        return ((noise @ w1 + b1.unsqueeze(1)).relu() @ w2 + b2.unsqueeze(1)).relu()

    @torch.no_grad()
    def _mixed(self, noise: Tensor) -> Tensor:
        """A batch of rows (m, d) to which each generator adds its slice."""
        parts = zip(slices(len(noise), self.k), zip(*self.generators, strict=True), strict=True)
        return torch.cat(
            [
                ((noise[start:end] @ w1 + b1).relu() @ w2 + b2).relu()
                for (start, end), (w1, b1, w2, b2) in parts
            ]
        )

    def step(
        self, real: Tensor, everything: Tensor, noise: Tensor, g_noise: Tensor, train_generators: bool
    ) -> Step:
        """Train the discriminator, then the generators through it.

        Args:
            real: a batch (m, d).
            everything: all rows (n, d), whose quantiles under the discriminator are the targets.
            noise: (m, d), 0..1, for the discriminator's made rows.
            g_noise: the same for the generators' own step.
            train_generators: False: their losses are only computed.
        """
        fake = self._mixed(noise)
        both = torch.cat([real, fake])
        is_real = torch.cat([real.new_ones(len(real)), real.new_zeros(len(fake))])
        d_loss = cross_entropy(self.discriminate(both), is_real)
        self._d_optimizer.step(d_loss)
        with torch.no_grad():
            p = self.discriminate(everything)
            shares = torch.arange(self.k, dtype=p.dtype) / self.k
            targets = torch.ones_like(shares) if self.k == 1 else p.quantile(shares)
        g_losses = cross_entropy(self.discriminate(self.generate(g_noise)), targets.unsqueeze(-1))
        if train_generators:
            self._g_optimizer.step(g_losses.sum())
        return Step(fake, float(d_loss.detach()), p, targets, g_losses.detach())

    @torch.no_grad()
    def outlier_scores(self, rows: Tensor) -> Tensor:
        """1 - D(x) of rows (n, d): (n,)."""
        return 1 - self.discriminate(rows)


def fit_gaal(rows: Tensor, k: int, seed: int, iterations: int) -> Gaal:
    """Train on rows, as published.

    Args:
        rows: (n, d), scaled to 0..1. They are shuffled once; what is left of whole batches only counts for targets.
        k: generators; fewer where a batch is so small that one of them would make no row.
        seed: of the start, the order and the noise.
        iterations: batches after which the generators stop, rounded up to whole epochs.
    """
    random = torch.Generator().manual_seed(seed)
    count, columns = rows.shape
    batch = min(BATCH, count)
    k = min(k, int((math.sqrt(8 * batch + 1) - 1) / 2))
    gaal = Gaal.initial(count, columns, k, random)
    shuffled = rows[torch.randperm(count, generator=random)]
    batches = [shuffled[start : start + batch] for start in range(0, count - batch + 1, batch)]
    stop_epochs = math.ceil(iterations / math.ceil(count / BATCH))
    stopped = False
    for epoch in range(3 * stop_epochs):
        for real in batches:
            noise = torch.rand(batch, columns, generator=random)
            g_noise = noise if k == 1 else torch.rand(batch, columns, generator=random)
            gaal.step(real, rows, noise, g_noise, train_generators=not stopped)
            stopped = epoch + 1 > stop_epochs
    return gaal
