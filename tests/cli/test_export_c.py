from pathlib import Path

import pytest

from cli.invoke import bittern

pytestmark = pytest.mark.skipif(not Path("/usr/bin/cc").exists(), reason="needs a C compiler: apt-get install gcc")


def test_a_run_is_exported_as_c_and_verified(trained: Path, tmp_path: Path) -> None:
    outcome = bittern("export", trained, tmp_path / "net", "--target", "c")
    assert outcome.code == 0, outcome.err
    assert "digits_resnet_run" in outcome.out
    assert "every node equals its reference" in outcome.out
    assert any("classifier" in line and "conv2d_f32" in line for line in outcome.out.splitlines())
    outcome = bittern("verify", trained, tmp_path / "net", "--random", 7)
    assert outcome.code == 0, outcome.out
    assert "passed" in outcome.out
    assert "C99" in outcome.out


def test_json_has_flash_and_ram_of_each_layer(trained: Path, tmp_path: Path) -> None:
    result = bittern("export", trained, tmp_path / "net", "--target", "c", "--json", "--no-check").json
    assert result["arena_bytes"] == max(layer["arena_bytes"] for layer in result["layers"])
    assert result["weight_bytes"] == sum(layer["weight_bytes"] for layer in result["layers"])
    assert result["checked"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "d"), "unknown target 'd'"),
        (("--target", "c", "--int8"), "--int8"),
        (("--target", "c", "--max-batch", 3), "--max-batch"),
        (("--target", "c", "--ram", 10), "limit on RAM is 10"),
        (("--flash", 10), "add --target c"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: tuple[object, ...], message: str, trained: Path, tmp_path: Path
) -> None:
    outcome = bittern("export", trained, tmp_path / "net", *options)
    assert outcome.code != 0
    assert message in outcome.err
    assert list(tmp_path.iterdir()) == []
