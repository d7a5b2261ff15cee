"""A file whose metadata is about another program is refused when it is loaded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bittern.runtime import Metadata, ModelFileError, container, load
from bittern.runtime.agreement import contradiction
from bittern.runtime.program import ProgramCall, calls
from runtime.programs import METADATA

OPERATORS = METADATA.operators

CHANGES: dict[str, tuple[Callable[[Metadata], Metadata], str]] = {
    "input": (
        lambda m: replace(m, input_shape=(2, 3, 8, 9)),
        r"says input_shape \[2, 3, 8, 9\] .*the program has \[2, 3, 8, 8\]",
    ),
    "output": (lambda m: replace(m, output_shape=(2, 6)), r"says output_shape \[2, 6\] .*, the program has \[2, 5\]"),
    "class names": (lambda m: replace(m, class_names=("a", "b", "c")), "has 3 class names, .* outputs"),
    "fewer": (lambda m: replace(m, operators=OPERATORS[1:]), "lists 4 operators, the program calls 5 of"),
    "others": (
        lambda m: replace(m, operators=(replace(OPERATORS[0], op="conv2d"), *OPERATORS[1:])),
        "calls operator 0 conv2d, the program bittern::pack",
    ),
    "order": (lambda m: replace(m, operators=OPERATORS[::-1]), "calls operator 0 conv2d, the program bittern::pack"),
    "place": (
        lambda m: replace(m, operators=(replace(OPERATORS[0], activations=(5,)), *OPERATORS[1:])),
        r"operator 0 depends on its arguments \[5\], it has 5",
    ),
    "place below 0": (
        lambda m: replace(m, operators=(*OPERATORS[:4], replace(OPERATORS[4], activations=(0, -1)))),
        "operator 4 depends on its arguments",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_metadata_that_contradicts_the_program_is_refused(
    change: Callable[[Metadata], Metadata], message: str, program: bytes, tmp_path: Path
) -> None:
    old, path = json.dumps(METADATA.to_json()).encode(), tmp_path / "model.pte"
    new = json.dumps(change(METADATA).to_json(), separators=(",", ":")).encode()
    assert len(new) <= len(old)  # the texts of a program cannot grow
    path.write_bytes(container.append_footer(program.replace(old, new.ljust(len(old)))))
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_the_metadata_of_a_file_agrees_with_its_program(program: bytes) -> None:
    found = calls(program)
    assert [call.operator for call in found[:5]] == [f"bittern::{operator.op}" for operator in OPERATORS]
    shapes = {
        "inputs": [(METADATA.input_shape, (0, 2, 3, 1), "float32")],
        "outputs": [(METADATA.output_shape, (0, 1), "float32")],
    }
    assert contradiction(METADATA, calls=found, **shapes) is None
    other = (ProgramCall("aten::add", (0, 1, 2, 3)), *found)  # ExecuTorch's own operators are not listed
    assert contradiction(METADATA, calls=other, **shapes) is None


@pytest.mark.parametrize("size", [0, 1, 8, 40, 200, 1000])
def test_a_program_that_is_cut_is_refused(size: int, program: bytes) -> None:
    with pytest.raises(ModelFileError, match="list of operators cannot be read"):
        calls(program[:size])


def test_a_list_without_an_end_is_refused(program: bytes) -> None:
    """Every number that could be the length of a list, made the largest."""
    refused = 0
    for at in range(0, 4000, 4):
        try:
            calls(program[:at] + b"\xff\xff\xff\x7f" + program[at + 4 :])
        except ModelFileError:
            refused += 1
    assert refused > 10
