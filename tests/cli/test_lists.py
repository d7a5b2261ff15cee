"""`models` and `recipes`."""

from bittern.models import list_models
from bittern.train import get_recipe, list_recipes, settings_of
from cli.invoke import bittern


def test_models_are_listed() -> None:
    text = bittern("models").out
    rows = bittern("models", "--json").json["models"]
    assert [row["name"] for row in rows] == list_models()
    assert all(row["name"] in text and row["source"] for row in rows)
    assert all(len(row["input_shape"]) == 3 for row in rows)


def test_recipes_are_listed() -> None:
    text = bittern("recipes").out
    rows = bittern("recipes", "--json").json["recipes"]
    assert [row["name"] for row in rows] == list_recipes()
    assert all(row["name"] in text and row["settings"] and row["epochs"] > 0 for row in rows)


def test_a_recipe_is_shown_with_its_settings() -> None:
    outcome = bittern("recipes", "digits")
    assert outcome.code == 0
    assert all(key in outcome.out for key in settings_of(get_recipe("digits")))
    assert "64,128" in outcome.out


def test_an_unknown_recipe_brings_a_suggestion() -> None:
    outcome = bittern("recipes", "digit")
    assert outcome.code == 2
    assert "did you mean 'digits'?" in outcome.error
