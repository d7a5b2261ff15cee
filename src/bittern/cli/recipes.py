"""``bittern recipes``: what can be trained, and every setting of it."""

from typing import Annotated

import typer

from bittern.cli._output import Json, output, print_facts, print_json, table


def command(
    recipe: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="Show one recipe with all its settings.")
    ] = None,
    json: Json = False,
) -> None:
    """List the training recipes, or one recipe's settings."""
    from bittern.train import get_recipe, list_recipes, settings_of

    names = list_recipes() if recipe is None else [recipe]
    rows = [get_recipe(name) for name in names]
    if json:
        print_json(
            {
                "recipes": [
                    {
                        "name": row.name,
                        "data": row.dataset,
                        "model": row.model,
                        "stages": [stage.name for stage in row.stages],
                        "epochs": row.epochs,
                        "description": row.description,
                        "source": row.source,
                        "expected": row.expected,
                        "command": row.command,
                        "settings": settings_of(row),
                    }
                    for row in rows
                ]
            }
        )
    elif recipe is None:
        listing = table(["Recipe", "Description"])
        for row in rows:
            epochs = " + ".join(str(stage.epochs) for stage in row.stages)
            about = f"{row.model} on {row.dataset}, {epochs} epochs\nsource: {row.source}\nexpected: {row.expected}"
            listing.add_row(row.name, f"{row.description}\n[dim]{about}[/dim]\n{row.command}\n")
        output().print(listing)
    else:
        (row,) = rows
        facts = [("recipe", row.name), ("", row.description), ("source", row.source), ("expected", row.expected)]
        print_facts([*facts, ("data", row.dataset), ("model", row.model), ("command", row.command)])
        listing = table(["Setting (--set KEY=VALUE)", "Value"])
        for key, value in settings_of(row).items():
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            listing.add_row(key, text)
        output().print(listing)
