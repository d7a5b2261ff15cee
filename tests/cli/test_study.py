"""``bittern study``: the page, the JSON, and what is refused."""

from pathlib import Path

import pytest

from bittern.study import TrainingObserver
from bittern.train import run
from cli.invoke import bittern

TINY = {"model.widths": "8,8", "model.depths": "1,1", "batch_size": 128}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    out = tmp_path_factory.mktemp("study") / "run"
    observer = TrainingObserver(sample_every=5, snapshot_every=2)
    run("digits-one-step", None, out, epochs=2, overrides=TINY, accelerator="cpu", observers=[observer])
    return out


def test_json_alone_writes_no_page(watched: Path) -> None:
    found = bittern("study", watched, "--json").json
    assert found["runs"][0]["run"] == "run"
    assert not (watched / "study.html").exists()


@pytest.mark.slow
def test_the_page_is_written_with_landscape_and_toys(watched: Path, tmp_path: Path) -> None:
    outcome = bittern("study", watched, "--out", tmp_path / "page.html", "--landscape", "--points", "3", "--toys")
    assert outcome.code == 0, outcome.err
    assert f"Open {tmp_path / 'page.html'} in a browser" in outcome.out.replace("\n", "")
    html = (tmp_path / "page.html").read_text()
    assert all(f'id="figure-{name}' in html for name in ("surface", "line", "two_nodes", "counterexample"))


@pytest.mark.slow
def test_a_run_without_study_still_has_its_curves(trained: Path, tmp_path: Path) -> None:
    outcome = bittern("study", trained, "--out", tmp_path / "page.html")
    assert outcome.code == 0
    assert "trained without --study" in outcome.out
    assert 'id="figure-loss"' in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name at least one run folder"),
        (("nowhere",), "run folder nowhere does not exist"),
        (("{run}", "{run}/"), "named twice"),
        (("{run}", "--out", "{run}"), "is a folder; name a file"),
    ],
)
def test_what_cannot_be_reported_is_refused(arguments: tuple[str, ...], message: str, watched: Path) -> None:
    outcome = bittern("study", *(argument.format(run=watched) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.error
