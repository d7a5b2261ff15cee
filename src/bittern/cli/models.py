"""``bittern models``: the architectures."""

from bittern.cli._output import Json, output, print_json, table


def command(json: Json = False) -> None:
    """List the network architectures."""
    from bittern.models import get_model, list_models

    rows = [get_model(name) for name in list_models()]
    if json:
        print_json(
            {
                "models": [
                    {
                        "name": row.name,
                        "input_shape": [row.in_channels, row.image_size, row.image_size],
                        "num_classes": row.num_classes,
                        "description": row.description,
                        "source": row.source,
                    }
                    for row in rows
                ]
            }
        )
        return
    listing = table(["Model", ">Input", ">Classes", "Description"])
    for row in rows:
        shape = f"{row.in_channels} x {row.image_size} x {row.image_size}"
        listing.add_row(row.name, shape, str(row.num_classes), f"{row.description}\n[dim]{row.source}[/dim]")
    output().print(listing)
