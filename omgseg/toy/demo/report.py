"""The demo's results as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omgseg.files import whole_file
from omgseg.toy.demo.evaluations import EVALUATIONS, NOVEL_OVER_PERMUTED


def shortfalls(metrics: dict[str, Any]) -> list[str]:
    """The requirements that were not met, a line each."""
    lines = [
        f"{metric.key} is {metrics[metric.key]:.1f}, required {metric.required:g}"
        for evaluation in EVALUATIONS
        for metric in evaluation.metrics
        if metric.required is not None and not metrics[metric.key] >= metric.required
    ]
    novel, permuted = metrics["open_vocabulary/PQ_novel"], metrics["open_vocabulary/PQ_novel_permuted"]
    if not novel >= NOVEL_OVER_PERMUTED * permuted:
        lines.append(
            f"novel categories: {novel:.1f} is less than {NOVEL_OVER_PERMUTED:g} times {permuted:.1f}"
        )
    return lines


def write_report(folder: Path, metrics: dict[str, Any], seconds: dict[str, float]) -> None:
    """Write ``metrics.json`` and ``report.md``, each at once.

    Args:
        folder: of the demo.
        metrics: by key, in percent, and what else belongs to the run.
        seconds: by stage, in order.
    """
    _write(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _write(folder / "report.md", _page(folder, metrics, seconds))


def _page(folder: Path, metrics: dict[str, Any], seconds: dict[str, float]) -> str:
    lines = [
        "# One model, one set of weights, every task",
        "",
        f"Checkpoint: `{metrics['checkpoint']}`",
        "",
        "| task | metric | value | required | seconds |",
        "|---|---|---:|---:|---:|",
    ]
    for evaluation in EVALUATIONS:
        time = f"{seconds[f'evaluate {evaluation.config}']:.0f}"
        for metric in evaluation.metrics:
            required = "" if metric.required is None else f"{metric.required:g}"
            lines.append(
                f"| {metric.task} | {metric.key} | {metrics[metric.key]:.1f} | {required} | {time} |"
            )
            time = ""
    missed = shortfalls(metrics)
    lines += ["", "All requirements are met." if not missed else "Not met: " + "; ".join(missed) + "."]
    lines += ["", "| stage | seconds |", "|---|---:|"]
    lines += [f"| {stage} | {value:.0f} |" for stage, value in seconds.items()]
    lines += [f"| together | {sum(seconds.values()):.0f} |", "", "## Pictures", ""]
    lines += ["![one example of each task](overview.png)", ""]
    lines += ["Input, ground truth and prediction. Colours of videos are identities.", ""]
    for picture in sorted((folder / "pictures").rglob("*.png")):
        name = picture.relative_to(folder)
        animation = picture.with_suffix(".gif")
        shown = animation.relative_to(folder) if animation.exists() else name
        lines += [f"{' / '.join(name.with_suffix('').parts[1:])}", "", f"![{name.stem}]({shown})", ""]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text)
