"""Losses of training: cross entropy, a teacher's distribution, and its attention."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def distribution_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross entropy of the student's distribution under the teacher's, from logits [N, classes], as a scalar::

        L = -1/N sum_n sum_c softmax(teacher)[n, c] * log softmax(student)[n, c]

    It is their Kullback-Leibler divergence plus a constant of the teacher.
    Liu et al. 2020, ReActNet, arXiv:2003.03488, eq. 10.
    """
    return -(teacher.softmax(1) * F.log_softmax(student, 1)).sum(1).mean()


def attention_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """How far the attention of student and teacher differs, from feature maps [N, C_j, H_j, W_j], as a scalar::

        L = sum_j 1/N sum_n || q_s / ||q_s|| - q_t / ||q_t|| ||,     q = sum_c F[c]^2 per pixel, flat

    ``C_j`` may differ between the two, ``H_j`` and ``W_j`` must not.
    Martinez et al. 2020, Real-to-Binary Convolutions, arXiv:2003.11535, section 4.2.

    Raises:
        ValueError: the two do not have as many maps, or maps of unlike sizes.
    """
    sizes = [[tuple(f.shape[2:]) for f in side] for side in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"attention is compared pixel by pixel, but the student's maps are {sizes[0]} and the teacher's "
            f"{sizes[1]}; choose layers with maps of equal sizes"
        )
    pairs = zip(student, teacher, strict=True)
    return torch.stack([(_attention(s) - _attention(t)).norm(dim=1).mean() for s, t in pairs]).sum()


def _attention(features: Tensor) -> Tensor:
    return F.normalize(features.float().square().sum(1).flatten(1), dim=1)


class Features:
    """Keeps in ``maps`` the latest output of each module of ``model`` that is named, until ``close``.

    Raises:
        ValueError: ``model`` has no such module.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        known = dict(model.named_modules())
        missing = [name for name in names if name not in known]
        if missing:
            outer = ", ".join(name for name in known if name and name.count(".") < 2) or "none"
            raise ValueError(
                f"{type(model).__name__} has no module {', '.join(map(repr, missing))} whose features could be "
                f"compared; its modules, down to two levels, are: {outer}. Name modules of the student in "
                f"attention_layers, modules of a given teacher in teacher_attention_layers"
            )
        self.maps = [torch.empty(0)] * len(names)
        self._hooks = [known[name].register_forward_hook(self._keeper(i)) for i, name in enumerate(names)]

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _keeper(self, index: int) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.maps[index] = output

        return keep
