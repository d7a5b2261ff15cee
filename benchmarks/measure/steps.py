"""Time of an optimizer's step on the parameters of ReActNet-A: ``python -m benchmarks steps``."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from benchmarks.measure.stamp import this_stamp
from benchmarks.rows import StepRow
from bittern.cli._machine import cpu_name
from bittern.models import create
from bittern.optim import OPTIMIZERS, create_optimizer

NETWORK = "reactnet-a"
FOREACH, FUSED = "Adam(foreach=True)", "Adam(fused=True)"
_WARM_UP = 2


def contenders() -> dict[str, Callable[[list[nn.Parameter]], Optimizer]]:
    """Torch's Adam in its two faster forms, then the registry with its defaults, latent weights clipped."""
    options: dict[str, dict[str, Any]] = {name: {"clip": 1.0} for name in ("sgd", "adam", "amsgrad")}

    def registered(name: str) -> Callable[[list[nn.Parameter]], Optimizer]:
        return lambda params: create_optimizer(name, params, **options.get(name, {}))

    return {
        FOREACH: lambda params: Adam(params, foreach=True),
        FUSED: lambda params: Adam(params, fused=True),
        **{name: registered(name) for name in OPTIMIZERS},
    }


def measure(rounds: int, device: str) -> list[StepRow]:
    """One row an optimizer. All step in turn, round after round, on the same random gradients."""
    torch.manual_seed(0)
    start = [p.detach().to(device) for p in create(NETWORK).parameters()]
    gradients = [1e-3 * torch.randn_like(p) for p in start]
    optimizers = {}
    for name, make in contenders().items():
        params = [nn.Parameter(p.clone()) for p in start]
        for p, gradient in zip(params, gradients, strict=True):
            p.grad = gradient
        optimizers[name] = make(params)
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(_WARM_UP + rounds):
        for name, optimizer in optimizers.items():
            times[name].append(_milliseconds(optimizer, device))
    stamp = this_stamp(torch.cuda.get_device_name() if device.startswith("cuda") else cpu_name())
    parameters, threads = sum(p.numel() for p in start), torch.get_num_threads()
    rows = []
    for name, optimizer in optimizers.items():
        values = sorted(times[name][_WARM_UP:])
        quartiles = (values[len(values) // 4], values[-1 - len(values) // 4])
        timed = (statistics.median(values), *quartiles)
        state, torch_version = _state_bytes(optimizer), str(torch.__version__)
        rows.append(StepRow(name, parameters, threads, *timed, state, rounds, torch_version, **stamp))
    return rows


def _milliseconds(optimizer: Optimizer, device: str) -> float:
    began = time.perf_counter()
    optimizer.step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return (time.perf_counter() - began) * 1e3


def _state_bytes(optimizer: Optimizer) -> int:
    return sum(v.nbytes for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor))
