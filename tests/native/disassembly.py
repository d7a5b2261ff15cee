"""Innermost loops of compiled code, counted from its disassembly.

``PYTHONPATH=tests python -m native.disassembly FILE.o`` prints those of an object file for aarch64.
"""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

BITS = 128
"""In a vector register of aarch64. CNT counts the differing bits of weights and inputs: one binary MAC for each, or two
where BSL has made one bit of two (conv2d_pairs)."""


@dataclass(frozen=True)
class Loop:
    """A loop without inner loops: its instructions up to the branch back, mnemonics and operands."""

    function: str
    instructions: tuple[tuple[str, str], ...]

    @property
    def mnemonics(self) -> tuple[str, ...]:
        return tuple(mnemonic for mnemonic, _ in self.instructions)

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.mnemonics)

    @property
    def macs(self) -> int:
        """Binary multiply-accumulates of one iteration."""
        return self.counts["cnt"] * BITS * (2 if "bsl" in self.counts else 1)

    @property
    def per_4096_macs(self) -> float:
        return len(self.mnemonics) * 4096 / self.macs


def counting_loops(path: Path) -> list[Loop]:
    """All innermost loops of an object file for aarch64 that count bits."""
    loops = innermost_loops(path, "aarch64-linux-gnu-objdump", r"b(\.\w+)?|cbn?z|tbn?z")
    return [loop for loop in loops if loop.macs]


def innermost_loops(path: Path, objdump: str, branch: str) -> list[Loop]:
    """Of an object file or a library; ``branch``: the mnemonics of branches, as a pattern."""
    text = subprocess.run([objdump, "-dC", "--no-show-raw-insn", path], capture_output=True, text=True, check=True)
    return [loop for function, body in _functions(text.stdout) for loop in _innermost(function, body, branch)]


Instruction = tuple[int, str, str]


def _functions(text: str) -> list[tuple[str, list[Instruction]]]:
    """Each function's name and its instructions: address, mnemonic, operands."""
    functions: list[tuple[str, list[Instruction]]] = []
    for line in text.splitlines():
        if title := re.fullmatch(r"[0-9a-f]+ <(.*)>:", line):
            functions.append((title[1], []))
        elif found := re.match(r"\s*([0-9a-f]+):\t(\S+)\s*(.*)", line):
            functions[-1][1].append((int(found[1], 16), found[2], found[3]))
    return functions


def _innermost(function: str, body: list[Instruction], branch: str) -> list[Loop]:
    index = {address: i for i, (address, _, _) in enumerate(body)}
    spans = []
    for i, (_, mnemonic, operands) in enumerate(body):
        if re.fullmatch(branch, mnemonic):
            target = re.search(r"([0-9a-f]+) <", operands)
            start = index.get(int(target[1], 16)) if target else None
            if start is not None and start <= i:
                spans.append((start, i))
    inner = [a for a in spans if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [Loop(function, tuple(instruction[1:] for instruction in body[first : last + 1])) for first, last in inner]


if __name__ == "__main__":
    for loop in counting_loops(Path(sys.argv[1])):
        print(f"{loop.per_4096_macs:6.1f} per 4096 MAC: {dict(loop.counts)}  {loop.function[:90]}")
