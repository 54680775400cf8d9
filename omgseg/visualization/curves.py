"""Plots the curves of a training run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from omgseg.visualization.palette import palette_colors

_PANEL = (5.2, 3.4)  # inches
_DPI = 100
_SMOOTH = 40  # the smooth line is a running mean over 1/20 of the run (radius 1/40)
_LOGARITHMIC = 20.0  # the axis is logarithmic above this ratio of the largest to the smallest value
_MOST_POINTS = 4000  # per line; more than the pixels of a panel


def draw_curves(
    panels: Mapping[str, Mapping[str, Sequence[float]]], last: int, count: int, noisy: Collection[str] = ()
) -> np.ndarray:
    """Draw values over iterations.

    Args:
        panels: lines (name to values) by title of the panel. Values are at equal distances, the last one at the last
            iteration; values that are not finite leave a gap.
        last: number of the last iteration.
        count: number of iterations that the values cover, up to the last one.
        noisy: titles of the panels with running means in front of pale lines of the values.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there is nothing to draw.
    """
    panels = {
        title: {name: np.asarray(values, float) for name, values in lines.items() if len(values)}
        for title, lines in panels.items()
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        raise ValueError("no curves to draw")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    # without pyplot, which looks for a display and keeps the figure in memory
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for place, (title, lines) in enumerate(panels.items(), 1):
        _draw_panel(figure.add_subplot(rows, columns, place), title, lines, last, count, title in noisy)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_panel(
    axes: Axes, title: str, lines: Mapping[str, np.ndarray], last: int, count: int, noisy: bool
) -> None:
    for color, (name, values) in zip(_colors(len(lines)), lines.items(), strict=True):
        steps = last - np.arange(len(values))[::-1] * (count / len(values))
        values = np.where(np.isfinite(values), values, np.nan)
        smooth = running_mean(values, len(values) // _SMOOTH if noisy else 0)
        few = slice(None, None, max(1, len(values) // _MOST_POINTS))
        marker = "o" if len(values) <= 20 else ""
        if smooth is not values:
            axes.plot(steps[few], values[few], color=color, alpha=0.25, linewidth=0.8)
        axes.plot(
            steps[few], smooth[few], color=color, linewidth=1.6, label=name, marker=marker, markersize=3
        )
    everything = np.concatenate(list(lines.values()))
    positive = everything[np.isfinite(everything)]
    if len(positive) and positive.min() > 0 and positive.max() > _LOGARITHMIC * positive.min():
        axes.set_yscale("log")
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("iteration", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def running_mean(values: np.ndarray, radius: int) -> np.ndarray:
    """Means over the finite values at most `radius` positions away; NaN without such values."""
    if radius < 1:
        return values
    finite = np.isfinite(values)
    window = np.ones(2 * radius + 1)
    sums = np.convolve(np.where(finite, values, 0.0), window)[radius:-radius]
    counts = np.convolve(finite.astype(float), window)[radius:-radius]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _colors(count: int) -> list[tuple[float, ...]]:
    """The first dark colours of the colour-blind palette for Matplotlib; pale lines are hard to see on white."""
    dark = [color for color in palette_colors("colorblind") if sum(color) < 500]
    return [tuple(value / 255 for value in dark[number % len(dark)]) for number in range(count)]
