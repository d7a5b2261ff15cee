"""What a model file says about itself, in the program's constant method ``bittern_metadata`` (a JSON string)."""

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bittern.runtime.errors import ModelFileError

METADATA_METHOD = "bittern_metadata"
METADATA_FORMAT = 1


@dataclass(frozen=True)
class Preprocessing:
    """``x = (pixels * scale - mean) / std`` on pixels 0 to 255, with a mean and a std for each channel."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def why_not(self, input_shape: Sequence[int]) -> str | None:
        """None if it makes input of ``input_shape`` out of pixels, else why not."""
        if len(input_shape) != 4:
            return f"it is for images [N, C, H, W], the input is {list(input_shape)}"
        channels = input_shape[1]
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, channels):
            return f"{len(self.mean)} means and {len(self.std)} stds: give 1 of each, or {channels}, one per channel"
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))) or min(self.std) <= 0:
            return f"scale, mean and std must be finite and std positive: {self.scale}, {self.mean}, {self.std}"
        return None


@dataclass(frozen=True)
class Operator:
    """One call of a Bittern operator.

    ``op``: its name, such as ``conv2d_packed``. ``path``: the module it came from, such as ``layer1.0.conv``.
    ``outputs``: for each output, the node of the training graph that it equals, or None. ``activations``: positions of
    the arguments that are computed from the images; all others are constants of the program.
    """

    op: str
    path: str
    outputs: tuple[str | None, ...]
    activations: tuple[int, ...]


@dataclass(frozen=True)
class Metadata:
    """``operators``: Bittern's only, in the order of execution.

    ``input_shape``, ``output_shape``: ``[N, C, H, W]`` as exported. The program computes N images at a time, and any
    number up to N if ``dynamic_batch``. ``int8``: float layers compute on 8-bit integers, rounded accordingly.
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
        # Files that use neither stay as they were before there were these.
        unused = {name for name in ("dynamic_batch", "int8") if not fields[name]}
        return {"format": METADATA_FORMAT, **{name: value for name, value in fields.items() if name not in unused}}

    @staticmethod
    def from_json(text: str) -> "Metadata":
        """Reads what :meth:`to_json` gave, as text.

        Raises:
            ModelFileError: the text is not such an object, or is of a newer format.
        """
        try:
            value = json.loads(text)
            json.dumps(value, ensure_ascii=False).encode()  # not with half a surrogate pair, which nothing can print
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"the metadata is not JSON: {error}") from error
        fields = _Fields(value, "metadata")
        if fields.integer("format") > METADATA_FORMAT:
            raise ModelFileError(
                f"the metadata is of format {_short(fields.integer('format'))}, this Bittern reads up to "
                f"{METADATA_FORMAT}: upgrade Bittern"
            )
        metadata = Metadata(
            bittern=fields.text("bittern"),
            executorch=fields.text("executorch"),
            model=fields.text("model"),
            input_shape=fields.sizes("input_shape"),
            output_shape=fields.sizes("output_shape"),
            class_names=fields.texts("class_names") if fields.has("class_names") else None,
            preprocessing=_preprocessing(fields.object("preprocessing")) if fields.has("preprocessing") else None,
            operators=tuple(_operator(entry) for entry in fields.objects("operators")),
            dynamic_batch=fields.flag("dynamic_batch"),
            int8=fields.flag("int8"),
        )
        rule = metadata.preprocessing
        if rule is not None and (reason := rule.why_not(metadata.input_shape)) is not None:
            raise ModelFileError(f"metadata: preprocessing: {reason}")
        return metadata


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


def _short(value: object) -> str:
    """``repr(value)``, cut where a damaged file makes it long or deep."""
    return _SHORT.repr(value)


class _Fields:
    """A JSON object whose entries are read with their type checked."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise ModelFileError(f"{name} must be an object, is {_short(value)}")
        self._entries, self._name = value, name

    def has(self, key: str) -> bool:
        return self._entries.get(key) is not None

    def _get(self, key: str, kind: type | tuple[type, ...], what: str) -> Any:
        value = self._entries.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelFileError(f"{self._name}: {key} must be {what}, is {_short(value)}")
        return value

    def _list(self, key: str, kind: type | tuple[type, ...], what: str) -> Sequence[Any]:
        values = self._get(key, list, f"a list of {what}")
        if not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise ModelFileError(f"{self._name}: {key} must be a list of {what}, is {_short(values)}")
        return list(values)

    def flag(self, key: str) -> bool:
        """False where it is left out."""
        value = self._entries.get(key, False)
        if not isinstance(value, bool):
            raise ModelFileError(f"{self._name}: {key} must be true or false, is {_short(value)}")
        return value

    def integer(self, key: str) -> int:
        return int(self._get(key, int, "an integer"))

    def number(self, key: str) -> float:
        return self._finite(key, self._get(key, (int, float), "a number"))

    def numbers(self, key: str) -> tuple[float, ...]:
        return tuple(self._finite(key, value) for value in self._list(key, (int, float), "numbers"))

    def _finite(self, key: str, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise ModelFileError(f"{self._name}: {key} must be finite, is {_short(value)}")
        return number

    def text(self, key: str) -> str:
        return str(self._get(key, str, "a string"))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._list(key, str, "strings"))

    def integers(self, key: str) -> tuple[int, ...]:
        return tuple(self._list(key, int, "integers"))

    def optional_texts(self, key: str) -> tuple[str | None, ...]:
        return tuple(self._list(key, (str, type(None)), "strings or nulls"))

    def sizes(self, key: str) -> tuple[int, ...]:
        sizes = tuple(self._list(key, int, "positive integers"))
        if not all(size > 0 for size in sizes):
            raise ModelFileError(f"{self._name}: {key} must be a list of positive integers, is {_short(list(sizes))}")
        return sizes

    def object(self, key: str) -> "_Fields":
        return _Fields(self._entries.get(key), f"{self._name}: {key}")

    def objects(self, key: str) -> "list[_Fields]":
        entries = self._get(key, list, "a list of objects")
        return [_Fields(entry, f"{self._name}: {key}[{i}]") for i, entry in enumerate(entries)]


def _preprocessing(fields: _Fields) -> Preprocessing:
    return Preprocessing(fields.number("scale"), fields.numbers("mean"), fields.numbers("std"))


def _operator(fields: _Fields) -> Operator:
    return Operator(
        fields.text("op"), fields.text("path"), fields.optional_texts("outputs"), fields.integers("activations")
    )
