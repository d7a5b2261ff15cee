"""Why a layer is not binary, by the data that flows into it."""

from bittern.models.record import Product, Record

FIRST, LAST, ON_PURPOSE = "first layer", "last layer", "float on purpose"


def reasons(record: Record) -> dict[str, str]:
    """Module path -> why not all of its products are of signs by signs; no entry where they are.

    A layer is the first if no product lies between it and the model's input, the last if none lies between it and the
    output.
    """
    first, last = _first(record), _last(record)
    found: dict[str, list[str]] = {}
    for index, step in enumerate(record.steps):
        if step.product is not None and (reason := _reason(step.product, index in first, index in last)):
            found.setdefault(step.path, []).append(reason)
    return {path: "; ".join(dict.fromkeys(each)) for path, each in found.items()}


def _reason(product: Product, first: bool, last: bool) -> str:
    place = FIRST if first else LAST if last else ""
    lost = f", no longer signs after {product.lost_signs}" if product.lost_signs else ""
    if not product.weight_values:
        return "" if product.binary else "it multiplies two activations, which are not both binary"
    if product.binary:
        return ""
    if product.weight_binary:
        return f"{place and place + ': '}its weights are binary, but its input is real-valued{lost}"
    if product.input_binary:
        return f"{place and place + ': '}its input is binary, but its weights are real-valued"
    return f"{place or ON_PURPOSE}: real-valued weights and input{lost}"


def _first(record: Record) -> set[int]:
    """Steps with a product that no product comes before."""
    after_product: set[int] = set()  # values
    first = set()
    for index, step in enumerate(record.steps):
        follows = bool(after_product.intersection(step.reads))
        if step.product is not None and not follows:
            first.add(index)
        if step.product is not None or follows:
            after_product.update(step.writes)
    return first


def _last(record: Record) -> set[int]:
    """Steps with a product that no product comes after."""
    before_product: set[int] = set()  # values
    last = set()
    for index, step in reversed(list(enumerate(record.steps))):
        precedes = bool(before_product.intersection(step.writes))
        if step.product is not None and not precedes and _reaches_output(record, step.writes):
            last.add(index)
        if step.product is not None or precedes:
            before_product.update(step.reads)
    return last


def _reaches_output(record: Record, numbers: tuple[int, ...]) -> bool:
    waiting, seen = list(numbers), set(numbers)
    while waiting:
        value = record.values[waiting.pop()]
        if value.is_output:
            return True
        following = {number for reader in value.readers for number in record.steps[reader].writes} - seen
        waiting += following
        seen |= following
    return False
