"""Several processes that train one network: what they add up and agree on."""

import torch
import torch.distributed
from torch import Tensor

from bittern._distributed import world_size

Sums = dict[str, dict[str, Tensor]]
"""Instrument -> site -> sums [n]."""


def sum_over_processes(sums: Sums) -> Sums:
    """The sums over all processes, in one exchange, in the order of ``sums``; all must pass the same sites."""
    if world_size() == 1:
        return sums
    keys = sorted((instrument, site) for instrument, sites in sums.items() for site in sites)
    if not keys:
        return sums
    parts = [sums[instrument][site].long() for instrument, site in keys]
    joined = torch.cat(parts)
    torch.distributed.all_reduce(joined)
    found = dict(zip(keys, joined.split([len(part) for part in parts]), strict=True))
    return {instrument: {site: found[instrument, site] for site in sites} for instrument, sites in sums.items()}


def broadcast_from_first(number: int, device: torch.device) -> int:
    """``number`` of the first process."""
    if world_size() == 1:
        return number
    shared = torch.tensor([number], device=device)
    torch.distributed.broadcast(shared, 0)
    return int(shared)
