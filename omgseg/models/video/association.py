"""Association of the queries of consecutive clips (MinVIS, arXiv:2208.02245)."""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def associate_queries(previous: Tensor, current: Tensor) -> Tensor:
    """The permutation that aligns the current clip's queries to the previous ones.

    Args:
        previous, current: (Q, D), query features before the decoder's norm.

    Returns:
        int64 (Q,): ``current[permutation]`` continues `previous`, by least total cosine distance.
    """
    with torch.autocast(current.device.type, enabled=False):  # a product of float32 would become bfloat16
        similarity = F.normalize(previous.float(), dim=-1) @ F.normalize(current.float(), dim=-1).t()
    _, permutation = linear_sum_assignment((1 - similarity).cpu().numpy())
    return torch.from_numpy(permutation).to(current.device)
