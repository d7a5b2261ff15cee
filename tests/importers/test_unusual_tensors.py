"""Tensors that no checkpoint needs: they would take more memory than the file, or end in an error far from here."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from bittern.importers import CheckpointError, import_checkpoint
from bittern.importers.convert import read_checkpoint
from importers.fixtures import fixture

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's, about layouts in beta
    UNUSUAL: dict[str, tuple[Any, str]] = {
        "stride 0": (torch.zeros(1).expand(250_000_000), r"\(250000000,\) that repeats its numbers \(strides \(0,\)\)"),
        "overlapping": (torch.zeros(10).as_strided((9, 9), (0, 1)), r"repeats its numbers"),
        "sparse": (torch.eye(3).to_sparse(), "a tensor that is torch.sparse_coo|damaged"),
        "sparse rows": (torch.eye(3).to_sparse_csr(), "a tensor that is torch.sparse_csr|damaged"),
        "meta": (torch.zeros(3, device="meta"), "w is on device meta, without its numbers"),
        "quantized": (torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8), "damaged, truncated or not"),
        "nested": (torch.nested.nested_tensor([torch.zeros(3)]), "damaged, truncated or not"),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("tensor", "message"), UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_tensor_is_refused(
    tensor: torch.Tensor, message: str, zipped: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {"w": tensor}}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("zipped", [True, False])
def test_many_tensors_in_one_memory_are_refused(zipped: bool, tmp_path: Path) -> None:
    path, shared = tmp_path / "model.pth", torch.zeros(10_000)
    torch.save({f"w{i}": shared for i in range(100)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"holds tensors of 4000000 bytes, because they share memory.*clone"):
        read_checkpoint(path)


def test_views_parameters_and_other_orders_of_memory_are_read(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 4)
    state = {"part": whole[0], "turned": whole[1].T, "weight": torch.nn.Parameter(torch.ones(3))}
    torch.save(state, tmp_path / "model.pth")
    found = read_checkpoint(tmp_path / "model.pth").tensors
    assert {name: tensor.shape for name, tensor in found.items()} == {"part": (3, 4), "turned": (4, 3), "weight": (3,)}
    assert all(torch.equal(found[name].read(), tensor) for name, tensor in state.items())


def test_a_variance_below_0_is_refused(tmp_path: Path) -> None:
    path = fixture("react-resnet-18-step-2").unpack(tmp_path)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["module.bn1.running_var"][0] = -0.5
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"bn1\.running_var holds variances below 0, such as -0\.5"):
        import_checkpoint(path, image_size=64, step=2)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pth")
    with pytest.raises(OSError, match="this is a pipe"):
        import_checkpoint(tmp_path / "model.pth")
