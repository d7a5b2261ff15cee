from pathlib import Path

import pytest

from bittern.optim import list_optimizers
from optim.sharded import compare
from processes import in_two_processes


@pytest.mark.slow
def test_parameters_that_processes_share_are_trained_as_one_alone_trains_them(tmp_path: Path) -> None:
    in_two_processes(compare, tmp_path)
    rows = [line.split() for line in (tmp_path / "differences").read_text().splitlines()]
    assert [row[0] for row in rows] == [name for name in list_optimizers() for _ in range(2)]
    assert all(float(difference) <= 1e-7 for _, _, difference in rows), rows
