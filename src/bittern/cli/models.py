"""``bittern models``: lists the architectures."""

from dataclasses import asdict

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
                        "facts": None if row.facts is None else asdict(row.facts),
                        "description": row.description,
                        "source": row.source,
                    }
                    for row in rows
                ]
            }
        )
        return
    listing = table(["Model", ">Input", ">Classes", ">Parameters", ">Top-1", "Description"])
    for row in rows:
        shape = f"{row.in_channels} x {row.image_size} x {row.image_size}"
        facts = row.facts
        size = "" if facts is None else f"{facts.parameters / 1e6:.2f} M"
        top1 = "" if facts is None or facts.top1 is None else f"{facts.top1} %"
        listing.add_row(
            row.name, shape, str(row.num_classes), size, top1, f"{row.description}\n[dim]{row.source}[/dim]"
        )
    output().print(listing)
