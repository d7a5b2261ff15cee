"""BatchNorm over the batches of all processes, on CPUs: torch's own ``SyncBatchNorm`` needs a GPU."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is that of the gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Sum.forward(ctx, grad)


def _sum(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
    return total


class SyncedBatchNorm(_BatchNorm):
    """``torch.nn.BatchNorm*d`` whose statistics are those of the batches of all processes together, [N, C, ...]::

        mean = sum_r sum(x_r) / n,   var = sum_r sum((x_r - mean)^2) / n      r: process, n: values of a channel in all

    Outside training, or in one process, it is BatchNorm.
    """

    @classmethod
    def convert(cls, model: nn.Module) -> None:
        """Replaces every BatchNorm inside ``model`` by a synchronized one that shares its tensors and their names.

        It is of this class, or torch's ``SyncBatchNorm`` where the BatchNorm is on a GPU.
        """
        for parent in list(model.modules()):
            for name, norm in list(parent.named_children()):
                if isinstance(norm, _BatchNorm) and not isinstance(norm, cls | nn.SyncBatchNorm):
                    kind = nn.SyncBatchNorm if _on_gpu(norm) else cls
                    synced = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
                    for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                        setattr(synced, key, getattr(norm, key))
                    synced.train(norm.training)
                    setattr(parent, name, synced)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected an input of at least 2 dimensions [N, C, ...], got {input.dim()}")

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            y: Tensor = super().forward(x)
            return y
        along_channels = [-1, *[1] * (x.dim() - 2)]
        others = [d for d in range(x.dim()) if d != 1]
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = wide.new_tensor([wide.numel() / wide.shape[1]])
        n, total = _sum(torch.cat((count, wide.sum(others)))).split((1, wide.shape[1]))
        mean = total / n
        centred = wide - mean.view(along_channels)
        var = _sum(centred.square().sum(others)) / n
        self._track(mean.detach(), var.detach() * n / (n - 1))
        factor = (var + self.eps).rsqrt()
        if self.weight is not None:
            factor = factor * self.weight
        y = centred * factor.view(along_channels)
        if self.bias is not None:
            y = y + self.bias.view(along_channels)
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased_var: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased_var.to(self.running_var.dtype), momentum)


def _on_gpu(norm: nn.Module) -> bool:
    return any(tensor.device.type == "cuda" for tensor in (*norm.parameters(), *norm.buffers()))
