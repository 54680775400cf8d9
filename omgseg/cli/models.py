"""List the models that have a name, with tasks, prompts, size, weights and licence.

examples:
  omgseg models                        every command takes these names instead of a config
  omgseg models --json | jq '.[].name'

No connection is opened. "cached" means that the weights are in the cache of huggingface_hub; "gated" that its page asks
you to accept the licence, and that downloading needs `hf auth login` or HF_TOKEN."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omgseg.cli.status import OK, user_errors

if TYPE_CHECKING:
    from omgseg.model_table import ModelEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON list with all fields")


def run(args: argparse.Namespace) -> int:
    with user_errors():
        from omgseg.model_table import list_models

        models = list_models()
    if args.json:
        print(json.dumps([_as_json(model) for model in models], indent=2))
    else:
        print("\n\n".join("\n".join(_lines(model)) for model in models))
    return OK


def _as_json(model: ModelEntry) -> dict[str, Any]:
    from omgseg.model_table import is_local

    return {
        **vars(model),
        "config": str(model.config),
        "tasks": sorted(model.tasks),
        "prompts": sorted(model.prompts),
        "cached": model.weights is not None and is_local(model.weights),
    }


def _lines(model: ModelEntry) -> Iterator[str]:
    from omgseg.model_table import is_local

    yield model.name + (f"  ({model.parameters / 1e6:.1f} M parameters)" if model.parameters else "")
    yield f"  {model.title}"
    yield f"  tasks    {', '.join(sorted(model.tasks)) or 'none'}"
    yield f"  prompts  {', '.join(sorted(model.prompts)) or 'none'}"
    if model.config != model.weights:
        yield f"  config   {model.config}"
    if model.weights is None:
        yield "  weights  none published"
    else:
        facts = [] if model.megabytes is None else [f"{model.megabytes} MB"]
        facts += ["gated"] if model.gated else []
        facts.append("cached" if is_local(model.weights) else "not cached")
        yield f"  weights  {model.weights} ({', '.join(facts)})"
        yield f"  licence  {model.licence}"
    if model.figures:
        yield f"  paper    {', '.join(f'{name} {value}' for name, value in model.figures.items())}"
    if model.note is not None:
        yield f"  note     {model.note}"
