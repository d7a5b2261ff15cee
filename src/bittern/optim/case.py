"""``CaseOptimizer``: several optimizers in one, each for the parameters that its case claims."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Predicate = Callable[[str, Tensor], bool]
Factory = Callable[[list[Tensor]], Optimizer]


class CaseOptimizer(Optimizer):
    """One optimizer made of several: each parameter belongs to the case whose ``predicate(name, parameter)`` holds::

        split = split_parameters(model)
        CaseOptimizer(
            model.named_parameters(),
            (lambda name, p: name in split.binary, lambda params: Bop(params, gamma=1e-4)),
            default=lambda params: Adam(params, lr=1e-3),
        )

    A parameter that two cases claim is refused, and so is one that none claims if there is no ``default``, and a case
    that claims nothing. ``param_groups`` holds the groups of all, in the order of the cases (default last), and they
    share one ``state``; so learning rate schedulers, ``GradScaler`` and checkpoints treat it as any torch optimizer.
    (Torch's learning rate schedulers need ``lr`` in every group: for Bop use ``HyperparameterScheduler``, or give them
    the case that has one.)

    Attributes:
        optimizers: those of the cases in order, then the default's if it has parameters.
        names: the parameters' names, for each of ``optimizers``.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        *cases: tuple[Predicate, Factory],
        default: Factory | None = None,
    ) -> None:
        claimed: list[list[tuple[str, Tensor]]] = [[] for _ in (*cases, default)]
        for name, p in named_parameters:
            claims = [i for i, (predicate, _) in enumerate(cases) if predicate(name, p)]
            if len(claims) > 1:
                raise ValueError(
                    f"parameter {name!r} is claimed by cases {', '.join(map(str, claims))}; let only one claim it"
                )
            if not claims and default is None:
                raise ValueError(f"no case claims parameter {name!r}; add one, or give a default")
            claimed[claims[0] if claims else -1].append((name, p))
        for i, parameters in enumerate(claimed[:-1]):
            if not parameters:
                raise ValueError(f"case {i} claims no parameter; correct its predicate or remove it")
        factories = [factory for _, factory in cases]
        if claimed[-1] and default is not None:
            factories.append(default)
        made = [(f, c) for f, c in zip(factories, claimed, strict=False) if c]
        if not made:
            raise ValueError("there are no parameters to optimize")
        self.names = [[name for name, _ in parameters] for _, parameters in made]
        self.optimizers = [_make(factory, parameters) for factory, parameters in made]
        super().__init__([p for _, parameters in made for _, p in parameters], {})
        self._share()

    def _share(self) -> None:
        """Makes groups and state of all optimizers those of this one: the same objects."""
        self.param_groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        self.state = defaultdict(dict)
        for optimizer in self.optimizers:
            self.state.update(optimizer.state)
            optimizer.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each; ``closure`` is called once."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("a CaseOptimizer takes no more groups; make a new one from all parameters")
        super().add_param_group(param_group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Each optimizer loads the groups that are its own. ValueError if their number or sizes differ."""
        groups, state = list(state_dict["param_groups"]), state_dict["state"]
        if len(groups) != len(self.param_groups):
            raise ValueError(f"the state has {len(groups)} groups, this optimizer {len(self.param_groups)}")
        for optimizer in self.optimizers:
            count = len(optimizer.param_groups)
            own, groups = groups[:count], groups[count:]
            indices = {index for group in own for index in group["params"]}
            optimizer.state = defaultdict(dict)
            optimizer.load_state_dict({"param_groups": own, "state": {i: state[i] for i in indices if i in state}})
        self._share()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "optimizers": self.optimizers, "names": self.names}

    def __repr__(self) -> str:
        return "CaseOptimizer(\n" + "\n".join(map(repr, self.optimizers)) + "\n)"


def _make(factory: Factory, parameters: list[tuple[str, Tensor]]) -> Optimizer:
    optimizer = factory([p for _, p in parameters])
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in parameters if id(p) not in held]
    if missing or len(held) != len(parameters):
        raise ValueError(
            f"a case's {type(optimizer).__name__} must hold the {len(parameters)} parameters that the case claims, "
            f"got {len(held)}" + (f", without {missing[0]!r}" if missing else "")
        )
    return optimizer
