"""Keeping a frozen network that has its own source of weights out of checkpoints.

A checkpoint of the published size is 0.9 GB with the frozen CLIP and 0.1 GB without it.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def leave_out_of_checkpoints(module: nn.Module) -> None:
    """Make `module` omit its weights from state dicts while it can supply them itself.

    The module has an attribute ``has_own_source`` (bool): its weights are those of the source it is built
    from. While that is true, ``state_dict()`` of any model around it holds nothing of the module, and loading
    such a state dict leaves the module as it is, without a report of missing keys. A state dict that does
    hold weights of the module is loaded as usual; from then on the weights may differ from the source, so
    they are written again.
    """
    module.register_state_dict_post_hook(_omit)
    module.register_load_state_dict_pre_hook(_supply)


def _omit(module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    if module.has_own_source:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            del state_dict[name]


def _supply(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    if not module.has_own_source:
        return
    if any(name.startswith(prefix) for name in state_dict):
        module.has_own_source = False
        return
    for own in (module.named_parameters(), module.named_buffers()):
        state_dict.update({prefix + name: tensor for name, tensor in own})
