"""The table of optimizers."""

from benchmark_rows import STAMP
from benchmarks.rows import EpochRow
from benchmarks.tables import optimizers


def test_the_table_of_optimizers_has_every_seed_and_the_epochs_to_the_marks() -> None:
    def row(seed: int, epoch: int, accuracy: float) -> EpochRow:
        named = ("binarynet", "slim", "bop", "{}", seed, "train", epoch, 2, epoch)
        return EpochRow(*named, 1.0, 0.5, accuracy, 1e-3 / epoch, 1.0, "2.13", "0.1", **STAMP)

    runs = {"bop": {0: [row(0, 1, 0.7), row(0, 2, 0.81)], 1: [row(1, 1, 0.86), row(1, 2, 0.87)]}}
    line = optimizers.markdown(runs).splitlines()[-1]
    assert line.startswith("| Bop | 84.00% | 4.2 | 81.00%, 87.00% | 1 | 2, 1 | never, 1 | 1.0e-03 to 5.0e-04 |")
    # 81 and 87 percent lie 3 points from their mean: a variance of 18 over one degree of freedom.
    assert "standard deviation of 4.2 points (pooled, 1 degrees of freedom)" in optimizers.spread(runs)
    assert "One run each" in optimizers.spread({"bop": {0: runs["bop"][0]}})
