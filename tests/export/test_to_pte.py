import errno
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy import Apply, exact_batch_norm, quarters
from torch import Tensor, nn

import bittern
from bittern.export import ExportError, ExportWarning, to_pte
from bittern.nn import BinaryConv2d, BinaryLinear, RPReLU, RSign
from bittern.ops import binarize
from bittern.runtime import Preprocessing


def small_net(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 40, 3, padding=1),
        BinaryConv2d(40, 48, 3, padding=1, stride=2),
        nn.BatchNorm2d(48),
        BinaryConv2d(48, 33, 3, padding=1, scale="mean"),
        nn.BatchNorm2d(33),
        nn.PReLU(33),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(33, 5),
    ).eval()


def images(count: int, channels: int = 3, size: int = 8) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def run(path: Path, x: Tensor) -> Tensor:
    return torch.from_numpy(bittern.runtime.load(path)(x.numpy()))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_engine_gives_what_the_module_gives(tmp_path: Path, channels: int, batch: int) -> None:
    net, x = small_net(channels), images(6, channels)
    report = to_pte(net, x[:batch], tmp_path / "net.pte", name="small", class_names=list("abcde"))
    assert report.metadata.model == "small"
    assert report.metadata.input_shape == (batch, channels, 8, 8)
    assert report.explanation.unpacked == []
    assert report.explanation.fallbacks == []
    assert len(str(report).splitlines()) == 5
    # XNNPACK and PyTorch round differently: a few operations on values around 1, so a few units of 2^-23.
    with torch.no_grad():
        torch.testing.assert_close(run(report.path, x), net(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"class_names": ["a", "b", "\udcff", "d", "e"]}, "surrogates not allowed"),
        ({"name": "net\ud800"}, "surrogates not allowed"),
        ({"class_names": [1, 2, 3, 4, 5]}, "class_names must be a list of strings"),
        ({"name": b"net"}, "not JSON serializable"),
    ],
)
def test_names_that_the_engine_would_refuse_are_refused(tmp_path: Path, names: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportError, match=f"could not read what the file would say about itself.*{message}"):
        to_pte(small_net(), images(1), tmp_path / "net.pte", **names)
    assert not (tmp_path / "net.pte").exists()


class Everything(nn.Module):
    """Every deployed operator in its float, packed and both forms, on values that PyTorch computes without rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(quarters(40, 40, 3, 3)), nn.Parameter(quarters(40, 20, 3, 3, seed=1))
        self.c, self.d = nn.Parameter(quarters(64, 40, 1, 1, seed=2)), nn.Parameter(quarters(70, 64, seed=3))
        self.e, self.f = nn.Parameter(quarters(36, 70, seed=4)), nn.Parameter(quarters(36, 36, seed=5))
        self.norm = exact_batch_norm(40)
        self.shift = nn.Parameter(quarters(1, 40, 1, 1, seed=6))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(F.conv2d(binarize(x + self.shift), binarize(self.a), padding=1)) + x
        y = F.conv2d(F.pad(binarize(y), (1, 1, 1, 1), value=-1.0), binarize(self.b), groups=2) + y
        y = F.max_pool2d(y, 2)
        y = F.conv2d(F.pad(binarize(y), (0, 1, 0, 1), value=1.0), binarize(self.c), stride=2)
        rows = F.adaptive_avg_pool2d(y, 1).flatten(1)
        rows = F.relu(F.linear(binarize(rows), binarize(self.d)))
        rows = F.linear(binarize(rows - 1.5), binarize(self.e))
        return F.linear(binarize(rows), binarize(self.f)) + rows


@pytest.mark.parametrize("isa", bittern.runtime.supported_isas())
def test_every_operator_gives_the_modules_very_numbers(tmp_path: Path, isa: str) -> None:
    net, x = Everything().eval(), quarters(3, 40, 8, 8, seed=9)
    report = to_pte(net, x[:1], tmp_path / "net.pte")
    called = {operator.op for operator in report.metadata.operators}
    assert called == {
        *("pack", "max_pool2d", "conv2d", "conv2d_packed", "conv2d_float_packed"),
        *("linear", "linear_float_packed", "linear_threshold"),
    }
    results = bittern.runtime.run_in_process(report.path, x.numpy(), isa=isa, trace=True)
    assert results.isa == isa
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(results.logits), net(x))
    verification = bittern.export.verify(net, report.path, x.numpy(), results)
    assert verification.passed
    assert verification.reference_differences == verification.model_differences == 0


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import torch, bittern, sys; from bittern import nn; torch.manual_seed(0);"
        "net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), nn.BinaryConv2d(8, 8, 3), torch.nn.BatchNorm2d(8),"
        "nn.RSign(8), nn.BinaryConv2d(8, 8, 3, binarize_input=False));"
        "bittern.export.to_pte(net, torch.zeros(1, 3, 9, 9), sys.argv[1])"
    )
    files = [tmp_path / "a.pte", tmp_path / "b.pte"]
    for seed, file in enumerate(files):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, env=environment)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_export_leaves_the_module_as_it_was(tmp_path: Path) -> None:
    net = small_net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    to_pte(net, images(1), tmp_path / "net.pte")
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_file_carries_class_names_and_preprocessing(tmp_path: Path) -> None:
    preprocessing = Preprocessing(scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    to_pte(
        small_net(), images(1), tmp_path / "net.pte", class_names=["a", "b", "c", "d", "e"], preprocessing=preprocessing
    )
    metadata = bittern.runtime.load(tmp_path / "net.pte").metadata
    assert metadata.class_names == ("a", "b", "c", "d", "e")
    assert metadata.preprocessing == preprocessing
    assert [operator.path for operator in metadata.operators] == ["1", "1", "3"]


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (Preprocessing(1.0, (0.5, 0.5), (1.0, 1.0)), "2 means and 2 stds: give 1 of each, or 3"),
        (Preprocessing(1.0, (0.5,), (1.0, 1.0, 1.0)), "1 means and 3 stds"),
        (Preprocessing(1.0, (), ()), "0 means and 0 stds"),
        (Preprocessing(1.0, (0.5,), (0.0,)), r"std positive: 1.0, \(0.5,\), \(0.0,\)"),
        (Preprocessing(1.0, (float("nan"),), (1.0,)), "must be finite"),
        (Preprocessing(float("inf"), (0.5,), (1.0,)), "must be finite"),
    ],
)
def test_preprocessing_that_does_not_fit_is_refused(preprocessing: Preprocessing, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        to_pte(small_net(), images(1), tmp_path / "net.pte", preprocessing=preprocessing)


def test_preprocessing_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"for images \[N, C, H, W\], the input is \[1, 8\]"):
        to_pte(nn.Linear(8, 2), torch.zeros(1, 8), tmp_path / "net.pte", preprocessing=Preprocessing(1, (0,), (1,)))


def test_a_module_without_anything_binary_is_exported_with_a_warning(tmp_path: Path) -> None:
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval(), images(2)
    with pytest.warns(ExportWarning, match="nothing in this model is binary"):
        report = to_pte(net, x[:1], tmp_path / "net.pte")
    with torch.no_grad():
        torch.testing.assert_close(run(report.path, x), net(x), rtol=0, atol=1e-5)


def test_a_float_operator_that_falls_to_a_slow_kernel_is_a_warning_and_runs(tmp_path: Path) -> None:
    net = nn.Sequential(BinaryConv2d(3, 8, 3), nn.Softplus(), RSign(8), BinaryConv2d(8, 4, 3, binarize_input=False))
    with pytest.warns(ExportWarning, match="softplus"):
        report = to_pte(net.eval(), images(1), tmp_path / "net.pte")
    assert [row.operator for row in report.explanation.fallbacks]
    with torch.no_grad():
        assert torch.equal(run(report.path, images(2)), net(images(2)))


def test_step_one_networks_run_with_binary_activations_in_float(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), BinaryConv2d(8, 8, 3, binarize_weight=False), RPReLU(8)).eval()
    with pytest.warns(ExportWarning):
        report = to_pte(net, images(1), tmp_path / "net.pte")
    assert [row.reason.split(":")[0] for row in report.explanation.unpacked] == [
        "read as float by conv2d_1",
        "its input is binary, but 8 of its 8 filters take more values than +s and -s",
    ]
    with torch.no_grad():
        torch.testing.assert_close(run(report.path, images(2)), net(images(2)), rtol=0, atol=1e-5)


def test_explain_names_every_node_and_where_it_runs(tmp_path: Path) -> None:
    rows = to_pte(small_net(), images(1), tmp_path / "net.pte").explanation.rows
    by_path = {(row.path, row.operator): row for row in rows}
    assert by_path["0", "aten::conv2d"].runs == "xnnpack"
    assert by_path["0", "aten::conv2d"].reason == "real-valued"
    assert by_path["1", "aten::conv2d"].kernel == "conv2d_threshold"
    assert by_path["3", "aten::conv2d"].kernel == "conv2d"
    assert {row.runs for row in rows} == {"bittern", "xnnpack", "constant"}


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (nn.ReLU(), torch.zeros(1, 3, dtype=torch.float64), "must be one float32 tensor"),
        (nn.ReLU(), torch.zeros(0, 3), "is empty"),
        (nn.ReLU(), [1.0], "must be one float32 tensor, got list"),
        (Apply(lambda x: x if x.sum() > 0 else -x), torch.zeros(1, 3), "Apply decides by values that it computes"),
        (Apply(lambda x, w: x * w, w=torch.tensor([float("nan")])), torch.zeros(1, 3), "w holds NaN"),
        (Apply(lambda x: (x, x)), torch.zeros(1, 3), "returns 2 values"),
        (nn.Linear(4, 5), torch.zeros(1, 3), "Linear fails for an input of shape .1, 3.: mat1 and mat2"),
    ],
)
def test_a_module_that_cannot_be_exported_is_refused(
    tmp_path: Path, module: nn.Module, example: Tensor, message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        to_pte(module, example, tmp_path / "net.pte")
    assert list(tmp_path.iterdir()) == []


def test_class_names_must_be_one_per_output(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="2 class names for 5 outputs"):
        to_pte(small_net(), images(1), tmp_path / "net.pte", class_names=["a", "b"])


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "net.pte"
    to_pte(small_net(), images(1), path)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys, torch, bittern; from bittern import nn;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "bittern.export.to_pte(nn.BinaryConv2d(64, 64, 3), torch.zeros(1, 64, 9, 9), sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert os.strerror(errno.EFBIG) in done.stderr
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["net.pte"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


class CannotBeCopied(nn.Linear):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("no")


def test_a_module_that_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    net = CannotBeCopied(3, 3)
    with pytest.raises(ExportError, match="CannotBeCopied cannot be copied"):
        to_pte(net, torch.zeros(1, 3), tmp_path / "net.pte")


def test_a_folder_that_does_not_exist_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        to_pte(small_net(), images(1), tmp_path / "missing" / "net.pte")


def test_linear_networks_run_on_rows(tmp_path: Path) -> None:
    net = nn.Sequential(BinaryLinear(20, 40), nn.BatchNorm1d(40), BinaryLinear(40, 7)).eval()
    x = torch.randn(5, 20)
    report = to_pte(net, x[:2], tmp_path / "net.pte")
    assert [operator.op for operator in report.metadata.operators] == ["pack", "linear_threshold", "linear"]
    with torch.no_grad():
        assert torch.equal(run(report.path, x), net(x))
    assert np.isfinite(bittern.runtime.load(report.path)(x.numpy())).all()


class ImageRows(nn.Module):
    """Linear layers on the channels of an image: rows of rank 4 whose memory the permutation left in another order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(channels, 40, 3), BinaryLinear(40, 40), BinaryLinear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).permute(0, 2, 3, 1)
        result: Tensor = self.b(self.a(y) + y)
        return result


@pytest.mark.parametrize("channels", [1, 3])
def test_linear_layers_run_on_the_channels_of_images(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(0)
    net, x = ImageRows(channels).eval(), images(3, channels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExportWarning)  # the permutation is XNNPACK's business
        report = to_pte(net, x[:1], tmp_path / "net.pte")
    assert [operator.op for operator in report.metadata.operators] == ["pack", "linear_packed", "linear"]
    with torch.no_grad():
        # The last layer's dot products are integers, the same unless a bit differs.
        assert torch.equal(run(report.path, x), net(x))


def test_no_warning_of_another_package_reaches_the_user(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_pte(small_net(), images(1), tmp_path / "net.pte")
