"""BatchNorm over several processes is that of one process with all their images."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bittern.nn import SyncedBatchNorm, UnscaledBatchNorm2d
from processes import in_two_processes


def network() -> nn.Module:
    torch.manual_seed(3)
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3), nn.Conv2d(3, 4, 1), UnscaledBatchNorm2d(4, momentum=None))
    return model.double()


def images() -> Tensor:
    torch.manual_seed(4)
    return 2 + 3 * torch.randn(10, 3, 2, 2, dtype=torch.float64)


def train(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """State and gradients after two steps; the loss is the sum over the images."""
    for _ in range(2):
        x = x.detach().requires_grad_()
        model(x).square().mul(torch.arange(4.0)[:, None, None]).sin().sum().backward()
    return {"input.grad": x.grad, **model.state_dict(), **{f"{n}.grad": p.grad for n, p in model.named_parameters()}}


def one_of_two(rank: int, folder: Path) -> None:
    model = network()
    SyncedBatchNorm.convert(model)
    result = train(model, images()[:4] if rank == 0 else images()[4:])
    torch.save({n: t.clone() for n, t in result.items()}, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_with_unlike_shares_give_the_statistics_and_gradients_of_one(tmp_path: Path) -> None:
    in_two_processes(one_of_two, tmp_path)
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    whole = train(network(), images())
    assert {*whole} == {*parts[0]}
    torch.testing.assert_close(torch.cat([part["input.grad"] for part in parts]), whole["input.grad"])
    for name, expected in whole.items():
        if name.endswith(".grad") and name != "input.grad":
            torch.testing.assert_close(sum(part[name] for part in parts), expected)
        elif name != "input.grad":
            torch.testing.assert_close(parts[0][name], expected)
            torch.testing.assert_close(parts[1][name], expected)


@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_it_is_batch_norm(training: bool) -> None:
    plain, synced = network().train(training), network().train(training)
    SyncedBatchNorm.convert(synced)
    assert sum(isinstance(m, SyncedBatchNorm) for m in synced.modules()) == 2
    assert torch.equal(plain(images()), synced(images()))
    assert all(torch.equal(t, synced.state_dict()[n]) for n, t in plain.state_dict().items())


def test_converting_keeps_parameters_and_names() -> None:
    model = network()
    before = dict(model.named_parameters())
    SyncedBatchNorm.convert(model)
    assert {n: id(p) for n, p in model.named_parameters()} == {n: id(p) for n, p in before.items()}
    assert list(model.state_dict()) == list(network().state_dict())
    assert copy.deepcopy(model)(images()).shape == (10, 4, 2, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch's SyncBatchNorm needs a GPU")
def test_on_a_gpu_it_is_torchs_own() -> None:
    model = network().cuda()
    SyncedBatchNorm.convert(model)
    assert [type(model[i]) for i in (0, 2)] == [nn.SyncBatchNorm] * 2
    assert list(model.state_dict()) == list(network().state_dict())
