"""Two processes that train one network, its parameters shared out among them; and one that trains it alone."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.optim import CaseOptimizer, create_optimizer, list_optimizers, split_parameters


def train(name: str, shared_out: bool, foreach: bool) -> list[Tensor]:
    """Weights after some steps. Five filters, which two processes cannot share evenly."""
    torch.manual_seed(0)
    net = nn.Sequential(BinaryConv2d(3, 5, 3), nn.Flatten(), BinaryLinear(5 * 4 * 4, 7), nn.Linear(7, 3))
    if shared_out:
        fully_shard(net, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    split = split_parameters(net)
    torch.manual_seed(0)
    optimizer = CaseOptimizer(
        net.named_parameters(),
        (lambda n, _: n in split.binary, lambda params: create_optimizer(name, params, foreach=foreach)),
        default=lambda params: torch.optim.SGD(params, lr=0.1),
    )
    for t in range(5):
        x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(t))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()
    return [p.full_tensor() if shared_out else p.detach() for p in net.parameters()]  # type: ignore[attr-defined]


def compare(rank: int, folder: Path) -> None:
    """Writes the largest difference between shared-out and lonely training for each optimizer."""
    lines = []
    for name in list_optimizers():
        for foreach in (False, True):
            weights = zip(train(name, True, foreach), train(name, False, foreach), strict=True)
            lines.append(f"{name} {foreach} {max((a - b).abs().max().item() for a, b in weights)}")
    if rank == 0:
        (folder / "differences").write_text("\n".join(lines))
