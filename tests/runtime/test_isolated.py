"""A model file runs in a process of its own, whose end is an error here."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from bittern.runtime import IsolatedEngine, ModelFileError, container, isolated, load, run_in_process
from runtime.programs import METADATA, example


def test_it_gives_what_the_engine_gives(model: Path) -> None:
    engine, images = IsolatedEngine(model), example(3).numpy()
    assert engine.metadata == METADATA
    np.testing.assert_array_equal(engine(images), load(model)(images))


def test_a_file_whose_name_begins_with_a_dash_runs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(model, tmp_path / "-x.pte")
    monkeypatch.chdir(tmp_path)
    images = example(1).numpy()
    expected = load(model)(images)
    np.testing.assert_array_equal(run_in_process("-x.pte", images).logits, expected)
    np.testing.assert_array_equal(IsolatedEngine("-x.pte")(images), expected)


def test_a_file_that_is_refused_is_refused_with_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(container.append_footer(bytes(100)))
    with pytest.raises(ModelFileError) as here:
        load(path)
    with pytest.raises(ModelFileError, match=re.escape(str(here.value))):
        IsolatedEngine(path)


CHILD = "import os, signal, time; {}"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("os._exit(3)", "ended with status 3"),
        ("time.sleep(60)", "did not end within 1 s"),
        ("print('{}')", "metadata: format must be an integer"),
    ],
)
def test_a_process_that_crashes_or_hangs_is_an_error(
    act: str, message: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter is replaced by one that does what a hostile program could."""
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{CHILD.format(act)}\n")
    os.chmod(python, 0o755)
    monkeypatch.setattr(isolated.sys, "executable", str(python))
    with pytest.raises(ModelFileError, match=message):
        IsolatedEngine(model, seconds=1)
