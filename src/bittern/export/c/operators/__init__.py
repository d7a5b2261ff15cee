"""The operators that the C back end knows: one table, from which networks are lowered and their references made."""

from bittern.export.c.operators import elementwise, float_layers, moves, packed, packed_layers, pooling
from bittern.export.c.operators.row import Row as Row

OPERATORS: dict[str, Row] = {
    **packed_layers.ROWS,
    **packed.ROWS,
    **float_layers.ROWS,
    **pooling.ROWS,
    **elementwise.ROWS,
    **moves.ROWS,
}
