"""What `to_c` writes, what it refuses, and how the written function treats its arguments."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from bittern.export import CExport, ExportError, ExportWarning, to_c
from bittern.export.c import verify_folder
from bittern.export.c.verify import network_name
from bittern.nn import BinaryConv2d
from bittern.runtime.metadata import Preprocessing
from export.c.compiled import STRICT, compiler
from models.small import trained

ROOT = Path(__file__).parents[3]
PIXELS = Preprocessing(1 / 255, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
NAMES = (*"abcdefg", 'q"\\?', "日本", "*/")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, len(NAMES)))
    layers = (
        nn.Conv2d(3, 33, 3, padding=1),
        nn.BatchNorm2d(33),
        BinaryConv2d(33, 40, 3, padding=1),
        nn.BatchNorm2d(40),
    )
    return nn.Sequential(*layers, *head).eval()


EXAMPLE = torch.zeros(2, 3, 7, 6)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> CExport:
    """A network of 8-bit pixels; not to be written to."""
    folder = tmp_path_factory.mktemp("c") / "net"
    return to_c(network(), EXAMPLE, folder, name="net", class_names=NAMES, preprocessing=PIXELS)


def build(folder: Path, cc: str, *files: str, flags: tuple[str, ...] = ()) -> Path:
    program = folder.parent / f"{folder.name}_{cc}"
    command = [compiler(cc), *STRICT, "-ffp-contract=off", *flags, *(str(folder / file) for file in files)]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_the_test_that_comes_with_a_network_passes_without_a_warning(exported: CExport, cc: str) -> None:
    program = build(exported.path, cc, "test_net.c", "net.c", "bittern_kernels.c")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count(": 0 of")) == (0, 2), done.stdout


def test_the_test_that_comes_with_a_network_fails_where_a_value_differs(exported: CExport, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    for file in exported.path.iterdir():
        (folder / file.name).write_text(file.read_text())
    reference = folder / "net_reference.h"
    start = reference.read_text().index("net_reference_output_0")
    text = reference.read_text()
    reference.write_text(text[:start] + re.sub(r"\{\n    \S+,", "{\n    123.0f,", text[start:], count=1))
    done = subprocess.run([str(build(folder, "gcc", "test_net.c", "net.c", "bittern_kernels.c"))], check=False)
    assert done.returncode == 1


class _Pointers(ctypes.Structure):
    """An input or output of one pointer."""

    _fields_ = (("data", ctypes.c_void_p),)


def test_arguments_that_do_not_fit_are_errors_and_nothing_is_written(exported: CExport) -> None:
    library = build(exported.path, "gcc", "net.c", "bittern_kernels.c", flags=("-shared", "-fPIC"))
    run = ctypes.CDLL(str(library)).net_run
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    pixels = (ctypes.c_uint8 * EXAMPLE.numel())()
    result = (ctypes.c_float * (2 * len(NAMES)))(*([7.0] * 2 * len(NAMES)))
    arena = (ctypes.c_uint32 * (exported.arena_bytes // 4 + 1))(*([5] * (exported.arena_bytes // 4 + 1)))
    place, size = ctypes.addressof(arena), exported.arena_bytes
    given, into = _Pointers(ctypes.addressof(pixels)), _Pointers(ctypes.addressof(result))
    ok, null, misaligned, small = range(4)
    i, o = ctypes.addressof(given), ctypes.addressof(into)
    assert [run(None, o, place, size), run(i, None, place, size), run(i, o, None, size)] == [null] * 3
    assert run(ctypes.addressof(_Pointers(None)), o, place, size) == null
    assert run(i, ctypes.addressof(_Pointers(None)), place, size) == null
    assert [run(i, o, place + 1, size), run(i, o, place, size - 1)] == [misaligned, small]
    assert set(result) == {7.0}
    assert set(arena) == {5}
    assert run(i, o, place, size) == ok
    assert 7.0 not in result
    assert arena[-1] == 5


def test_the_header_says_shapes_and_class_names(exported: CExport) -> None:
    header = (exported.path / "net.h").read_text()
    assert f"#define NET_ARENA_BYTES {exported.arena_bytes}\n" in header
    assert "#define NET_INPUT_SHAPE {2, 7, 6, 3} /* images, height, width, channels */" in header
    assert f"#define NET_CLASSES {len(NAMES)}\n" in header
    assert r'"g", "q\042\134\077"' in header


class _Keyword(nn.Module):
    def forward(self, float: torch.Tensor) -> torch.Tensor:
        return float * 2


class _Arena(nn.Module):
    def forward(self, arena: torch.Tensor) -> torch.Tensor:
        return arena * 2


@pytest.mark.parametrize("module", [_Keyword(), _Arena()])
@pytest.mark.filterwarnings("ignore:nothing in this model is binary")
def test_inputs_may_have_names_that_c_reserves(module: nn.Module, tmp_path: Path) -> None:
    assert to_c(module, torch.zeros(1, 3), tmp_path / "net").checked


@pytest.mark.parametrize("module", [nn.Linear(6, 3), nn.ReLU(), nn.Flatten()])
@pytest.mark.filterwarnings("ignore:nothing in this model is binary")
def test_a_network_that_keeps_nothing_compiles_without_a_warning(module: nn.Module, tmp_path: Path) -> None:
    export = to_c(module, torch.randn(2, 6), tmp_path / "net", name="net")
    program = build(export.path, "gcc", "test_net.c", "net.c", "bittern_kernels.c")
    assert subprocess.run([str(program)], check=False).returncode == 0
    assert f"ARENA_BYTES {export.arena_bytes}\n" in (export.path / "net.h").read_text()


def test_the_same_network_gives_the_same_files(exported: CExport, tmp_path: Path) -> None:
    options = {"name": "net", "class_names": NAMES, "preprocessing": PIXELS}
    again = to_c(network(), EXAMPLE, tmp_path / "again", check=False, **options)
    for file in exported.path.iterdir():
        assert file.read_text() == (again.path / file.name).read_text(), file.name


def test_flash_and_ram_are_those_of_the_parts(exported: CExport) -> None:
    assert exported.weight_bytes == sum(layer.weight_bytes for layer in exported.layers)
    assert exported.arena_bytes == max(layer.arena_bytes for layer in exported.layers)
    weights = 4 * (33 * 27 + 33 + 3 * 27 + 40 * 9 * 2 + 3 * 40 + 10 * 40)
    assert 0.8 * weights < exported.weight_bytes < 1.2 * weights


def test_a_folder_verifies_against_its_own_module_alone(exported: CExport) -> None:
    images = torch.randn(3, 3, 7, 6, generator=torch.Generator().manual_seed(1)).numpy()
    result = verify_folder(network(), exported.path, images)
    assert result.passed
    assert result.images == 3
    assert {layer.operator for layer in result.layers} >= {"conv2d", "pack", "aten::conv2d", "aten::linear"}
    other = network()
    with torch.no_grad():
        other[2].weight.mul_(-1)
    assert not verify_folder(other, exported.path, images).passed
    with pytest.raises(ExportError, match="another network"):
        verify_folder(nn.Sequential(*network(), nn.ReLU(), nn.Linear(10, 3)), exported.path, images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "9lives"}, "letter first"),
        ({"name": "a-b"}, "letters, digits and underscores"),
        ({"name": "int"}, "reserve"),
        ({"name": "bittern_kernels"}, "reserve"),
        ({"class_names": ("one",)}, "1 class names for 10 outputs"),
        ({"flash": 1000}, r"limit on flash is 1,000. Most take 0 4,\d\d\d"),
        ({"ram": 1000}, "limit on RAM is 1,000"),
        ({"ram": 0}, "positive"),
        ({"preprocessing": Preprocessing(1.0, (0.0, 0.0), (1.0, 1.0))}, "2 means"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        to_c(network(), EXAMPLE, tmp_path / "net", **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_nan_in_weights_and_operators_without_kernel_are_refused(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        broken[0].weight[0] = torch.nan
    with pytest.raises(ExportError, match="NaN"):
        to_c(broken, EXAMPLE, tmp_path / "net")
    with pytest.raises(ExportError, match=r"aten::erf in 7 has no kernel in C.*\.pte"):
        to_c(nn.Sequential(*network(), _Erf()), EXAMPLE, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


class _Erf(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erf(x)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ExportError, match="is not empty"):
        to_c(network(), EXAMPLE, tmp_path)
    with pytest.raises(ExportError, match="is a file"):
        to_c(network(), EXAMPLE, tmp_path / "notes")
    with pytest.raises(ExportError, match="holds no network"):
        network_name(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_without_a_compiler_the_files_are_written_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.warns(ExportWarning, match="no C compiler"):
        export = to_c(network(), EXAMPLE, tmp_path / "net")
    assert not export.checked
    with pytest.raises(ExportError, match="install gcc or clang"):
        verify_folder(network(), export.path, EXAMPLE.numpy())


def test_a_wrong_kernel_is_found_before_the_folder_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bittern.export.c import write

    right = write.kernels()
    monkeypatch.setattr(write, "kernels", lambda: right.replace("<< (c & 31)", "<< (c & 30)"))
    with pytest.raises(ExportError, match="from pack in 2 on"):
        to_c(network(), EXAMPLE, tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["docs/small.md", "README.md"])
def test_the_lines_that_call_a_network_compile(page: str, tmp_path: Path) -> None:
    module, x = trained("digits-resnet", 1)
    grey = Preprocessing(1 / 16, (0.5,), (0.5,))
    folder = to_c(module, x, tmp_path / "net", name="digits_resnet", preprocessing=grey, check=False).path
    text = (ROOT / page if page.startswith("docs") else folder / page).read_text()
    code = text.partition("```c\n")[2].partition("```")[0]
    head, _, call = code.partition("int error")
    (folder / "main.c").write_text(f"{head}\nint main(void) {{ int error{call} return error; }}\n")
    program = build(folder, "gcc", "main.c", "digits_resnet.c", "bittern_kernels.c")
    assert subprocess.run([str(program)], check=False).returncode == 0


SLOW = pytest.mark.slow
FAST = ("bnext-t", "binarynet", "digits-transformer")


def models() -> list[object]:
    from models.small import MODELS

    return [name if name in FAST else pytest.param(name, marks=SLOW) for name in MODELS]


@pytest.mark.parametrize("name", models())
def test_every_model_computes_in_c_what_its_reference_and_its_module_do(name: str, tmp_path: Path) -> None:
    module, x = trained(name, 1)
    export = to_c(module, x, tmp_path / "net", name="net")
    assert export.checked
