"""What a model file says about itself, in the program's constant method ``bittern_metadata`` (a JSON string)."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from bittern._fields import Fields, parse_json, short
from bittern._preprocessing import Preprocessing as Preprocessing
from bittern.runtime.errors import ModelFileError

METADATA_METHOD = "bittern_metadata"
METADATA_FORMAT = 1


@dataclass(frozen=True)
class Operator:
    """One call of a Bittern operator.

    ``op``: its name, such as ``conv2d_packed``. ``path``: the module it came from, such as ``layer1.0.conv``.
    ``outputs``: for each output, the node of the training graph with the same value, or None. ``activations``:
    positions of the arguments that depend on the images; all others are constants of the program. ``flipped``: filters
    whose weights have the opposite signs in the file, so that bits are ``dot < t``: bit o of a number in hexadecimal.
    """

    op: str
    path: str
    outputs: tuple[str | None, ...]
    activations: tuple[int, ...]
    flipped: str = ""


@dataclass(frozen=True)
class Metadata:
    """What a model file says about itself.

    Args:
        input_shape: ``[N, C, H, W]`` as exported, like ``output_shape``. The program computes N images at a time, or
            any number up to N if ``dynamic_batch``.
        operators: Bittern's only, in the order of execution.
        int8: float layers compute on 8-bit integers, rounded accordingly.
    """

    bittern: str
    executorch: str
    model: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    class_names: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None
    operators: tuple[Operator, ...] = ()
    dynamic_batch: bool = False
    int8: bool = False

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; :meth:`from_json` reads it back."""
        fields: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        # Files that use neither are the same as before these fields existed.
        unused = {name for name in ("dynamic_batch", "int8") if not fields[name]}
        for entry in fields["operators"]:
            if not entry["flipped"]:
                del entry["flipped"]
        return {"format": METADATA_FORMAT, **{name: value for name, value in fields.items() if name not in unused}}

    @staticmethod
    def from_json(text: str) -> "Metadata":
        """Reads the text of what :meth:`to_json` returned.

        Raises:
            ModelFileError: the text is not such an object, or has a newer format.
        """
        try:
            return _read(parse_json(text, "metadata"))
        except ValueError as error:
            raise ModelFileError(str(error)) from error


def _read(fields: Fields) -> Metadata:
    """ValueError names the field that is wrong."""
    if fields.integer("format") > METADATA_FORMAT:
        raise ValueError(
            f"the metadata is of format {short(fields.integer('format'))}, this Bittern reads up to "
            f"{METADATA_FORMAT}: upgrade Bittern"
        )
    input_shape, preprocessing = fields.sizes("input_shape"), None
    if fields.has("preprocessing"):
        preprocessing = Preprocessing.from_json(fields.value("preprocessing"), "metadata: preprocessing")
        if (reason := preprocessing.why_not(input_shape)) is not None:
            raise ValueError(f"metadata: preprocessing: {reason}")
    return Metadata(
        bittern=fields.text("bittern"),
        executorch=fields.text("executorch"),
        model=fields.text("model"),
        input_shape=input_shape,
        output_shape=fields.sizes("output_shape"),
        class_names=fields.texts("class_names") if fields.has("class_names") else None,
        preprocessing=preprocessing,
        operators=tuple(_operator(entry) for entry in fields.objects("operators")),
        dynamic_batch=fields.flag("dynamic_batch"),
        int8=fields.flag("int8"),
    )


def _operator(fields: Fields) -> Operator:
    flipped = fields.text("flipped") if fields.has("flipped") else ""
    if flipped.strip("0123456789abcdef"):
        raise ValueError(f"metadata: operators: flipped must be a hexadecimal number, is {short(flipped)}")
    operands = (fields.optional_texts("outputs"), fields.integers("activations"))
    return Operator(fields.text("op"), fields.text("path"), *operands, flipped)
