"""Files from strangers: refused with a reason, without executing code, allocating memory or opening other files."""

import io
import lzma
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from bittern.importers import CheckpointError, import_checkpoint
from bittern.importers.convert import read_checkpoint
from importers.fixtures import fixture

LARQ = "binary-resnet-e-18"
PYTORCH = {"zip": "react-resnet-18-step-2", "legacy": "react-resnet-18-step-1"}


def unpacked(name: str, folder: Path) -> Path:
    return fixture(name).unpack(folder)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        import_checkpoint(path, **ARGUMENTS)
    return str(error.value)


ARGUMENTS: dict[str, Any] = {"image_size": 64, "step": None}


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", [LARQ, *PYTORCH.values()])
def test_a_truncated_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"top-1 65.5 %\n", "neither a Keras .h5 file nor a PyTorch checkpoint")],
)
def test_something_else_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert message in refusal(path)


def test_a_folder_or_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        import_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError):
        import_checkpoint(tmp_path / "weights.h5")


class _Code:
    """Unpickling it creates a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_with_code_is_refused_and_not_executed(form: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "model.pth", tmp_path / "mark"
    value = {"state_dict": {"fc.weight": torch.zeros(1)}, "hook": _Code(mark)}
    if form == "pickle":
        path.write_bytes(pickle.dumps({"hook": _Code(mark)}))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
    message = refusal(path)
    assert "would execute code" in message
    assert "torch.save(model.state_dict(), FILE)" in message
    assert not mark.exists()
    if form != "pickle":
        torch.load(path, weights_only=False)  # the file does what it was made for
        assert mark.exists()


def _zip_with(path: Path, change: Callable[[bytes], bytes], method: int = zipfile.ZIP_STORED) -> None:
    """Rewrites the archive with a changed pickle."""
    with zipfile.ZipFile(path) as old:
        entries = {entry.filename: old.read(entry) for entry in old.infolist()}
    with zipfile.ZipFile(path, "w", method) as new:
        for name, content in entries.items():
            new.writestr(name, change(content) if name.endswith("data.pkl") else content)


@pytest.mark.parametrize("form", PYTORCH)
def test_a_checkpoint_that_declares_more_than_it_holds_is_refused_before_memory_is_taken(
    form: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    numbers = 100_003
    torch.save({"state_dict": {"fc.weight": torch.zeros(numbers)}}, path, _use_new_zipfile_serialization=form == "zip")

    def enlarge(content: bytes) -> bytes:
        small, large = (b"J" + struct.pack("<i", n) for n in (numbers, 2**31 - 1))
        assert small in content
        return content.replace(small, large)

    if form == "zip":
        _zip_with(path, enlarge)
    else:
        path.write_bytes(enlarge(path.read_bytes()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"declares tensors of {4 * (2**31 - 1)}" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kB: less than 1 of the 8 GB


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = unpacked(PYTORCH["zip"], tmp_path)
    _zip_with(path, lambda content: content, zipfile.ZIP_DEFLATED)
    assert "is compressed" in refusal(path)


def test_a_whole_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    assert "torch.save(model.state_dict(), FILE)" in refusal(tmp_path / "model.pth")


@pytest.mark.parametrize("value", [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}, {}], ids=repr)
def test_a_checkpoint_without_a_state_dict_is_refused(value: object, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "model.pth")
    assert "holds no state_dict" in refusal(tmp_path / "model.pth")


def _edit_torch(path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    content = torch.load(path, weights_only=True)
    change(content["state_dict"])
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["module.fc.bias"].fill_(float("nan")), "fc.bias holds 10 numbers that are not finite"),
        (lambda s: s["module.fc.bias"][:2].fill_(float("inf")), "fc.bias holds 2 numbers that are not finite"),
        (lambda s: s.update({"module.fc.bias": torch.arange(10)}), r"fc.bias is torch.int64, expected floats"),
        (
            lambda s: s.update({"module.bn1.num_batches_tracked": torch.tensor(0.5)}),
            "bn1.num_batches_tracked is torch.float32, expected an integer",
        ),
    ],
    ids=["nan", "inf", "integers", "half a batch"],
)
def test_numbers_that_no_network_has_are_refused(
    change: Callable[[dict[str, torch.Tensor]], Any], message: str, tmp_path: Path
) -> None:
    path = unpacked(PYTORCH["zip"], tmp_path)
    _edit_torch(path, change)
    with pytest.raises(CheckpointError, match=message):
        import_checkpoint(path, image_size=64, step=2)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_a_state_dict_is_found_bare_or_nested_with_or_without_prefix(
    prefix: str, key: str | None, tmp_path: Path
) -> None:
    path = unpacked(PYTORCH["zip"], tmp_path)
    expected = {name: tensor.shape for name, tensor in read_checkpoint(path).tensors.items()}
    state = torch.load(path, weights_only=True)["state_dict"]
    state = {prefix + name.removeprefix("module."): tensor for name, tensor in state.items()}
    torch.save(state if key is None else {key: state}, path)
    assert {name: tensor.shape for name, tensor in read_checkpoint(path).tensors.items()} == expected


def test_weights_of_exactly_0_give_a_warning(tmp_path: Path) -> None:
    path = unpacked(PYTORCH["zip"], tmp_path)
    _edit_torch(path, lambda state: state["module.layer1.0.binary_conv.weight"][0, 0, 0].zero_())
    warnings = import_checkpoint(path, image_size=64, step=2).warnings
    assert any("3 binary weights are exactly 0" in text for text in warnings)


DENSE = "dense/dense/kernel:0"


def _replace(path: Path, make: Callable[[Any, str], Any]) -> None:
    """Replaces one dataset of a Keras file by what ``make`` creates."""
    with h5py.File(path, "r+") as file:
        del file[DENSE]
        make(file, DENSE)


def _contiguous_but_empty(file: Any, name: str) -> None:
    space = h5py.h5s.create_simple((2**40,))
    h5py.h5d.create(file["dense/dense"].id, b"kernel:0", h5py.h5t.IEEE_F32LE, space)


def _external(file: Any, name: str) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(bytes(4 * 320))
    file.create_dataset(name, (32, 10), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def _virtual(file: Any, name: str) -> None:
    file.create_virtual_dataset(name, h5py.VirtualLayout((32, 10), "f4"))


BAD_DATASETS: dict[str, tuple[Callable[[Any, str], Any], str]] = {
    "huge, in chunks": (
        lambda f, n: f.create_dataset(n, (2**40,), "f4", chunks=(1024,)),
        "declares 4398046511104 bytes",
    ),
    "huge, contiguous": (_contiguous_but_empty, "declares 4398046511104 bytes"),
    "compressed": (lambda f, n: f.create_dataset(n, data=np.zeros((32, 10), "f4"), compression="gzip"), "contiguous"),
    "raw data of another file": (_external, "contiguous"),
    "virtual": (_virtual, "contiguous"),
    "link to another file": (
        lambda f, n: f.__setitem__(n, h5py.ExternalLink("/etc/passwd", "/")),
        "has a link to another file",
    ),
    "soft link": (lambda f, n: f.__setitem__(n, h5py.SoftLink("/dense/dense/bias:0")), "has a link to another file"),
    "integers": (lambda f, n: f.create_dataset(n, data=np.zeros((32, 10), "i4")), "not an array of floats"),
    "strings": (lambda f, n: f.create_dataset(n, data=[b"a"]), "not an array of floats"),
    "a group": (lambda f, n: f.create_group(n), "not an array of floats"),
    "nothing": (lambda f, n: None, "lacks /dense/dense/kernel:0"),
    "not finite": (lambda f, n: f.create_dataset(n, data=np.full((32, 10), np.nan, "f4")), "not finite"),
}


@pytest.mark.parametrize("case", BAD_DATASETS)
def test_a_bad_dataset_is_refused(case: str, tmp_path: Path) -> None:
    make, message = BAD_DATASETS[case]
    path = unpacked(LARQ, tmp_path)
    _replace(path, make)
    assert message in refusal(path)


def test_a_saved_model_is_read_for_its_weights(tmp_path: Path) -> None:
    path, whole = unpacked(LARQ, tmp_path), tmp_path / "model.h5"
    with h5py.File(path) as weights, h5py.File(whole, "w") as model:
        group = model.create_group("model_weights")
        for name in weights:
            weights.copy(name, group)
        group.attrs.update(weights.attrs)
        model.attrs["model_config"] = "{}"
    one, other = (import_checkpoint(p, **ARGUMENTS).network.state_dict() for p in (path, whole))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_list_of_layers_in_several_attributes_is_read_as_one(tmp_path: Path) -> None:
    path = unpacked(LARQ, tmp_path)
    expected = read_checkpoint(path).layers
    with h5py.File(path, "r+") as file:
        names = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:5], names[5:]
    assert read_checkpoint(path).layers == expected


def test_hdf5_of_something_else_is_refused_and_keras_3_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.zeros(3)
    assert "not a weights file of Keras 2" in refusal(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(3)
    assert "TF_USE_LEGACY_KERAS=1" in refusal(tmp_path / "y.weights.h5")


def test_a_name_that_declares_a_length_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    path = unpacked(LARQ, tmp_path)
    with h5py.File(path) as file:
        attribute = file.attrs.get_id("layer_names")
        (count,) = attribute.shape
    content = bytearray(path.read_bytes())
    sizes = struct.pack("<QQ", count, count)  # followed by the first name's length
    assert content.count(sizes) == 1
    at = content.index(sizes) + len(sizes)
    assert content[at : at + 4] == struct.pack("<I", len("input_1"))
    content[at : at + 4] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(content)
    limits, before = resource.getrlimit(resource.RLIMIT_AS), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "damaged" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kB
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_a_tensor_listed_twice_is_refused(tmp_path: Path) -> None:
    path = unpacked(LARQ, tmp_path)
    with h5py.File(path, "r+") as file:
        names = file["dense"].attrs["weight_names"]
        file["dense"].attrs["weight_names"] = [*names, names[0]]
    assert "has dense/kernel twice" in refusal(path)


@pytest.mark.parametrize("name", [LARQ, *PYTORCH.values()])
def test_a_damaged_file_is_refused_or_read_but_never_anything_else(name: str, tmp_path: Path) -> None:
    content = bytearray(lzma.decompress(fixture(name).packed.read_bytes()))
    rng = np.random.default_rng(0)
    path = tmp_path / f"x{fixture(name).packed.suffixes[0]}"
    for _ in range(20):
        damaged = bytearray(content)
        for _ in range(int(rng.integers(1, 20))):
            # Half of them at the beginning and the end, where the structure is.
            where = rng.integers(0, 2000) if rng.random() < 0.5 else -rng.integers(1, len(content))
            damaged[int(where)] = int(rng.integers(0, 256))
        path.write_bytes(damaged)
        try:
            import_checkpoint(path, image_size=64, step=None if name == LARQ else int(name[-1]))
        except CheckpointError:
            continue


def test_a_stream_is_not_held_open(tmp_path: Path) -> None:
    path = unpacked(LARQ, tmp_path)
    imported = import_checkpoint(path, **ARGUMENTS)
    path.write_bytes(bytes(io.DEFAULT_BUFFER_SIZE))
    assert all(bool(tensor.isfinite().all()) for tensor in imported.network.state_dict().values())
