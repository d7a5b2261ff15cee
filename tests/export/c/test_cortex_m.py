"""Networks in C on emulated Cortex-M cores: the floats and bits of their references there too."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bittern.export import CExport, to_c
from models.small import trained

RUN = Path(__file__).parents[3] / "examples" / "cortex-m" / "run.sh"
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "qemu-system-arm": "qemu-system-arm",
}
MISSING = [package for program, package in PACKAGES.items() if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"apt-get install {' '.join(MISSING)}")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> CExport:
    """The network whose kernels are most varied; not to be written to."""
    module, x = trained("digits-transformer", 1)
    return to_c(module, x, tmp_path_factory.mktemp("c") / "net", name="net", check=False)


def run(folder: Path, core: str) -> subprocess.CompletedProcess[str]:
    files = sorted(map(str, folder.glob("*.c")))
    return subprocess.run([str(RUN), core, *files], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("core", CORES)
def test_a_core_gives_the_floats_of_the_reference(core: str, exported: CExport) -> None:
    done = run(exported.path, core)
    assert (done.returncode, done.stdout.count(": 0 of 10 values differ")) == (0, 2), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["digits-resnet", "binarynet"])
def test_binary_networks_run_on_every_core(name: str, core: str, tmp_path: Path) -> None:
    module, x = trained(name, 1)
    folder = to_c(module, x, tmp_path / "net", name="net", check=False).path
    done = run(folder, core)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_digits_network_fits_a_small_cortex_m4(tmp_path: Path) -> None:
    module, x = trained("digits-resnet", 1)
    export = to_c(module, x, tmp_path / "net", name="net", check=False)
    objects = []
    for file in ("net.c", "bittern_kernels.c"):
        objects.append(str(tmp_path / f"{file}.o"))
        flags = ["-std=c99", "-Os", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-ffp-contract=off"]
        command = ["arm-none-eabi-gcc", *flags, "-c", str(export.path / file), "-o", objects[-1]]
        subprocess.run(command, check=True)
    sizes = subprocess.run(["arm-none-eabi-size", *objects], capture_output=True, text=True, check=True).stdout
    flash = sum(sum(map(int, line.split()[:2])) for line in sizes.splitlines()[1:])
    assert export.weight_bytes < flash <= 160_000
    assert export.arena_bytes <= 24_000


def test_an_unknown_core_is_refused_by_name() -> None:
    done = subprocess.run([str(RUN), "cortex-m99"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no board for 'cortex-m99'" in done.stderr
