"""The pure functions as one graph each, and whole steps under torch.compile."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bittern.optim import bamsprod, bop, bop2ndorder, cema, diode, list_optimizers
from optim.problems import gradients, make, parameters

FUNCTIONS: dict[str, tuple[Callable[..., None], int, dict[str, float]]] = {
    "bop": (bop, 1, {"gamma": 0.1, "threshold": 0.01}),
    "bop2ndorder": (bop2ndorder, 2, {"gamma": 0.1, "sigma": 0.2, "threshold": 0.01}),
    "cema": (cema, 2, {"gamma": 0.1, "alpha": 0.2}),
    "diode": (diode, 2, {"lr": 0.1, "beta1": 0.9, "beta2": 0.99}),
    "bamsprod": (bamsprod, 3, {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "rho": 0.9, "horizon": 4.0}),
}
"""Name -> function, buffers, and hyper-parameters."""


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("tensors", [False, True])
def test_a_pure_function_is_one_graph_and_takes_new_values_without_another(
    name: str, foreach: bool, tensors: bool
) -> None:
    function, buffers, options = FUNCTIONS[name]
    fixed: dict[str, Any] = {"eps": 1e-8, "clip": 1.0} if name == "bamsprod" else {}
    graphs = []

    def backend(graph: torch.fx.GraphModule, example: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(function, fullgraph=True, backend=backend, dynamic=False)
    results = []
    for call in (function, compiled):
        params = [p.detach().sign() for p in parameters((4, 3, 3, 3), (6, 5))]
        state = [[torch.zeros_like(p) for p in params] for _ in range(buffers)]
        if name == "bamsprod":
            state += [[torch.zeros(4), torch.zeros(6)], [torch.zeros(()), torch.zeros(())]]
        for t in range(3):
            grads = [p.detach().clone() for p in parameters((4, 3, 3, 3), (6, 5), seed=t)]
            now = {k: torch.tensor(v * (1 - 0.1 * t)) if tensors else v for k, v in options.items()}
            call(params, grads, *state, **now, **fixed, foreach=foreach)
        results.append(params)
    assert len(graphs) == 1
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler uses what torch deprecates
@pytest.mark.parametrize("name", list_optimizers())
def test_a_compiled_step_is_the_step(name: str) -> None:
    runs = []
    for compiled in (False, True):
        torch._dynamo.reset()
        torch.manual_seed(0)
        params = parameters((4, 3, 3, 3), (6, 5))
        optimizer = make(name, params)
        gradients(params, 0)
        optimizer.step()  # makes the state
        step = torch.compile(optimizer.step, backend="inductor") if compiled else optimizer.step
        for t in range(1, 4):
            gradients(params, t)
            step()
        runs.append(params)
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
