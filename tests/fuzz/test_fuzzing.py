"""Operators and loading survive a limited time of fuzzing; `make fuzz` runs longer."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
from fuzz import loading, mutate, operators, strangers
from fuzz.base import write_base

OPERATORS_SECONDS, LOADING_SECONDS = 120, 60


@pytest.fixture(scope="module")
def fuzzer() -> Path:
    try:
        return operators.build()
    except operators.MissingError as error:
        pytest.skip(str(error))
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "base.pte")


@pytest.mark.slow
def test_operators_survive_any_arguments(fuzzer: Path, tmp_path: Path) -> None:
    assert operators.replay(fuzzer) > len(list(operators.CORPUS.iterdir()))
    assert operators.fuzz(fuzzer, tmp_path / "found", OPERATORS_SECONDS, "-seed=1") > 1000


@pytest.mark.slow
def test_loading_survives_any_file(base: Path) -> None:
    cases, accepted = loading.fuzz(base, 1, LOADING_SECONDS)
    assert cases > 1000
    assert 0 < accepted < cases / 2  # most are refused; some reach the program


def test_a_few_damaged_files_are_refused(base: Path, tmp_path: Path) -> None:
    source = mutate.Base.of(base.read_bytes())
    accepted = sum(loading.run_case(source, 2, number, tmp_path / "fuzzed.pte") for number in range(300))
    assert 0 < accepted < 150


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return strangers.write_bases(tmp_path_factory.mktemp("bases"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cases"), [("files", 60), ("links", 40), ("json", 60), ("names", 60), ("terminals", 10)]
)
def test_commands_survive_what_a_stranger_made(kind: str, cases: int, bases: Path) -> None:
    report = strangers.fuzz(kind, bases, 1, cases)
    assert report.cases == cases
    assert 0 < report.accepted < cases
    assert report.peak < strangers.PEAK


def test_a_finding_of_a_strangers_case_says_how_to_run_it_again(tmp_path: Path) -> None:
    with pytest.raises(operators.FindingError, match=r"(?s)json: status 1 at case 0 \(again: .* json .* 1 0 1\)"):
        strangers.fuzz("json", tmp_path, 1, 1)  # there are no bases


def test_a_process_that_ends_early_is_a_finding(tmp_path: Path) -> None:
    """The tests above rely on this."""
    damaged = tmp_path / "damaged.pte"
    damaged.write_bytes(b"no model")
    with pytest.raises(operators.FindingError, match=r"(?s)status 1 .*again: .*ModelFileError"):
        loading.fuzz(damaged, 1, 1)
