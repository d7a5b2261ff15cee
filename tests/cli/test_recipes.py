"""The list of recipes."""

import pytest

from bittern.train import get_recipe, list_recipes
from cli.invoke import bittern


@pytest.mark.parametrize("columns", ["80", "100"])
def test_every_recipe_is_listed_with_source_expected_result_and_command(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = " ".join(bittern("recipes").out.split())
    for recipe in map(get_recipe, list_recipes()):
        assert f"{recipe.name} {recipe.description}" in text
        assert all(fact in text for fact in (recipe.source, recipe.expected, recipe.command))
