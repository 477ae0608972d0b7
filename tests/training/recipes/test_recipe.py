import json
from functools import reduce

import pytest

from training import recipes
from training.errors import RecipeError
from training.recipes import RECIPES
from training.recipes.recipe import Recipe
from training.recipes.settings import flatten


def read(recipe: Recipe, field: str) -> object:
    """Return a setting by its name with dots."""
    return reduce(getattr, field.split("."), recipe.settings)


@pytest.mark.parametrize("name", RECIPES)
def test_settings_survive_the_manifest(name: str) -> None:
    settings = RECIPES[name].settings
    written = json.dumps(settings.model_dump())
    assert type(settings).model_validate(json.loads(written)) == settings


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_found_by_its_name_and_says_its_task(name: str) -> None:
    recipe = recipes.find(name)
    assert recipe.name == name
    assert recipe.task == ("sentiment" if name.startswith(("sentiment", "imdb", "reviews")) else "next-letter")


@pytest.mark.parametrize("name", RECIPES)
def test_no_assignments_change_nothing(name: str) -> None:
    assert recipes.find(name).with_settings([]) == recipes.find(name)


def test_an_unknown_recipe_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RecipeError, match="no recipe 'sentimnt'; did you mean 'sentiment'. There are: next-letter, "):
        recipes.find("sentimnt")
    with pytest.raises(RecipeError, match="no recipe 'x'; There are: .*imdb-20$"):
        recipes.find("x")


@pytest.mark.parametrize(
    ("name", "assignment", "field", "value"),
    [
        ("next-letter", "units=3", "units", 3),
        ("next-letter", "learning_rate=0.5", "learning_rate", 0.5),
        ("next-letter", "learning_rate=1e-4", "learning_rate", 1e-4),
        ("next-letter", "learning_rate=2", "learning_rate", 2.0),
        ("next-letter", "mask_padding=false", "mask_padding", False),
        ("alphabet-variable-length", "first_code=1", "first_code", 1),
        ("imdb-500", "mask_padding=true", "mask_padding", True),
        ("sentiment", "ngrams.longest=2", "ngrams.longest", 2),
        ("sentiment", "language.passes=0.5", "language.passes", 0.5),
        ("sentiment", "student.adversarial=virtual", "student.adversarial", "virtual"),
        ("sentiment", "length=300", "length", 300),
        ("imdb-500", "clip_norm=1", "clip_norm", 1.0),
        ("imdb-500", "patience=3", "patience", 3),
        ("imdb-500", "validation=last", "validation", "last"),
        ("next-letter", 'patterns="random"', "patterns", "random"),
        ("next-letter", "further_units=[3, 2]", "further_units", (3, 2)),
        ("next-letter", "optimiser=sgd", "optimiser", "sgd"),
        ("next-letter", "seed=4294967295", "seed", 2**32 - 1),
    ],
)
def test_values_are_read_from_text(name: str, assignment: str, field: str, value: object) -> None:
    recipe = recipes.find(name)
    changed = recipe.with_settings([assignment])
    before, after = flatten(recipe.settings), flatten(changed.settings)
    assert [name for name in after if after[name] != before[name]] == [field]
    found = read(changed, field)
    assert found == value and type(found) is type(value)
    assert (changed.name, changed.source, changed.published) == (recipe.name, recipe.source, recipe.published)


def test_the_last_assignment_of_a_field_counts() -> None:
    assert read(recipes.find("next-letter").with_settings(["units=3", "seed=1", "units=4"]), "units") == 4


def test_the_named_recipe_itself_stays_as_it_is() -> None:
    before = read(recipes.find("next-letter"), "units")
    recipes.find("next-letter").with_settings(["units=3"])
    assert read(recipes.find("next-letter"), "units") == before


@pytest.mark.parametrize(
    ("name", "assignments", "message"),
    [
        ("next-letter", ["units"], "'units' is not an assignment; write key=value"),
        ("next-letter", [""], "'' is not an assignment"),
        ("next-letter", ["=3"], "next-letter has no field ''; There are: units"),
        ("next-letter", ["unit=3"], "no field 'unit'; did you mean 'units'. There are: units, further_units"),
        ("next-letter", ["embedding=3"], "no field 'embedding'"),
        ("next-letter", ["units=0"], "units: Input should be greater than or equal to 1, not 0"),
        ("next-letter", ["units=many"], "units: Input should be a valid integer.*, not 'many'"),
        ("next-letter", ["units="], "units: .*, not ''"),
        ("next-letter", ["units=[3]"], "units: .*, not .3."),
        ("next-letter", ["units=1.5"], "units: .*, not 1.5"),
        ("next-letter", ["units=null"], "units: .*, not None"),
        ("next-letter", ["learning_rate=NaN"], "learning_rate: .*, not nan"),
        ("next-letter", ["learning_rate=Infinity"], "learning_rate: .*, not inf"),
        ("next-letter", ["units=" + "9" * 5000], "units: "),
        ("next-letter", ["units=" + "[" * 100_000], "units: "),
        ("next-letter", ["clip_norm=Infinity"], "clip_norm: .*, not inf"),
        ("next-letter", ["further_units=3"], "further_units: Input should be a valid tuple, not 3"),
        ("next-letter", ["further_units=[3, 0]"], "further_units.1: Input should be greater than or equal to 1, not 0"),
        (
            "next-letter",
            ["loss=hinge"],
            "loss: Input should be 'cross-entropy' or 'squared-error', not 'hinge'",
        ),
        ("next-letter", ["patterns=alphabet"], "settings: .*patterns=alphabet needs a length below 26"),
        (
            "next-letter",
            ["examples=50"],
            "settings: .*patterns=all has a fixed number; examples is for patterns=random only",
        ),
        ("torch", ["patience=3", "initialiser=orthogonal"], "needs patience=null, initialiser=glorot_uniform$"),
        ("alphabet-stateful", ["length=26"], "settings: .*patterns=prefixes needs a length below 26"),
        ("alphabet-window", ["mask_padding=true"], "settings: .*layout=features has a single step: it needs mask"),
        ("alphabet-stateful", ["shuffle=true", "batch_size=5"], "settings: .* and needs batch_size=1, shuffle=false$"),
        (
            "alphabet-time-steps",
            ["framework=torch", "pooling=mean-max", "mask_padding=true"],
            "needs mask_padding=false",
        ),
        ("stacked", ["framework=torch", "optimiser=sgd"], "settings: .*Adam; it needs .*optimiser=adam"),
        ("next-letter", ["fast=true"], "next-letter has no fast variant; leave fast=true out"),
        ("alphabet-variable-length", ["fast=yes"], "fast can be true or left out, not 'yes'"),
        ("sentiment", ["ngrams.longest=0"], "ngrams.longest: Input should be greater than or equal to 1, not 0"),
        ("sentiment", ["ngrams.c=0"], "ngrams.c: Input should be greater than 0, not 0"),
        ("sentiment", ["language.passes=0"], "language.passes: Input should be greater than 0, not 0"),
        ("sentiment", ["teacher=3"], r"no field 'teacher'; did you mean 'teacher\.\w+'"),
        ("sentiment", ["teacher.epoch=3"], "no field 'teacher.epoch'; did you mean 'teacher.epochs'"),
        ("next-letter", ["seed=-1"], "seed: .*, not -1"),
        ("next-letter", ["seed=4294967296"], "seed: Input should be less than 4294967296"),
        ("next-letter", ["optimiser=lion"], "optimiser: Input should be 'adam', 'rmsprop' or 'sgd', not 'lion'"),
        ("next-letter", ["first_code=2"], "first_code: Input should be 0 or 1, not 2"),
        ("next-letter", ["units=0", "epochs=0"], "units: .*; epochs: "),
        ("sentiment", ["student.word_dropout=1"], "student.word_dropout: Input should be less than 1, not 1"),
        ("sentiment", ["validation_share=1"], "validation_share: Input should be less than 1, not 1"),
        ("sentiment", ["vocabulary_size=4"], "vocabulary_size: Input should be greater than or equal to 5, not 4"),
        ("imdb-500", ["tokeniser=words"], "settings: .*ranks=keras needs tokeniser=keras.*choose ranks=counted$"),
        ("imdb-500", ["endings=5"], "settings: .*endings need tokeniser=tokens or tokeniser=readable; set endings=0"),
        ("sentiment", ["endings=23997"], "settings: .*endings"),
        (
            "sentiment",
            ["student_language.embedding=65", "second_round.language.embedding=64"],
            "settings: .*student_language.embedding=65 can be at most second_round.language.embedding=64",
        ),
        (
            "sentiment",
            ["second_round=null", "student_language.embedding=65", "language.embedding=64"],
            "settings: .*student_language.embedding=65 can be at most language.embedding=64",
        ),
        ("sentiment", ["second_round=null", "second_round.teacher.epochs=1"], "no field 'second_round.teacher.epochs'"),
        ("sentiment", ["folds=1"], "folds: Input should be greater than or equal to 2, not 1"),
        ("sentiment", ["student_language=3"], "no field 'student_language'"),
        ("sentiment", ["student_language=null", "student_language.units=3"], "no field 'student_language.units'"),
        ("sentiment", ["teacher=null"], "teacher: .*, not None"),
        ("sentiment", ["seed.units=3"], "no field 'seed.units'"),
        ("imdb-500", ["vocabulary_size=10001"], "settings: .*vocabulary_size of at most 10000"),
        ("imdb-500", ["pooling=mean-max"], "settings: .*that are not padding and needs mask_padding=true$"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(name: str, assignments: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipes.find(name).with_settings(assignments)


@pytest.mark.parametrize(
    ("name", "assignments"),
    [
        ("imdb-500", ["vocabulary_size=10000"]),
        ("imdb-500", ["vocabulary_size=10001", "ranks=counted"]),
        ("imdb-500", ["tokeniser=words", "ranks=counted"]),
        ("imdb-500", ["pooling=mean-max", "mask_padding=true"]),
        ("imdb-500", ["tokeniser=tokens", "ranks=counted", "endings=5"]),
        ("next-letter", ["first_code=0", "mask_padding=false"]),
        ("alphabet-variable-length", ["first_code=1", "mask_padding=true"]),
    ],
)
def test_settings_that_fit_together_are_taken_in_any_order(name: str, assignments: list[str]) -> None:
    recipe = recipes.find(name)
    assert recipe.with_settings(assignments) == recipe.with_settings(assignments[::-1])


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.fast])
def test_fast_stands_for_assignments_that_later_ones_can_change(name: str) -> None:
    recipe = recipes.find(name)
    assert recipes.find_changes(recipe.with_settings(["fast=true"])) == recipe.fast
    assert read(recipe.with_settings(["fast=true", "epochs=3"]), "epochs") == 3
    assert read(recipe.with_settings(["epochs=3", "fast=true"]), "epochs") == recipe.fast["epochs"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_named_recipe_has_no_changes(name: str) -> None:
    recipe = recipes.find(name)
    assert recipes.find_changes(recipe) == {}
    # To the type of every number: stages are found again by what they depend on.
    assert json.dumps(recipe.settings.model_dump()) == json.dumps(recipe.with_settings([]).settings.model_dump())


def test_changes_are_the_settings_that_are_not_those_of_the_named_recipe() -> None:
    recipe = recipes.find("imdb-500")
    changed = recipe.with_settings(["epochs=9", "epochs=10", "clip_norm=1", "validation=last", "seed=1"])
    assert recipes.find_changes(changed) == {"clip_norm": 1.0, "validation": "last", "seed": 1}
    assert recipes.find_changes(recipe.with_settings(["units=32", "learning_rate=0.001"])) == {}
    staged = recipes.find("sentiment").with_settings(["teacher.epochs=9", "second_round.language.units=1024"])
    assert recipes.find_changes(staged) == {"teacher.epochs": 9}
    assert recipes.find_changes(recipes.find("sentiment").with_settings(["student_language=null"])) == {
        "student_language": None
    }


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_is_explained(name: str) -> None:
    assert all(meaning for _, meaning in flatten(RECIPES[name].settings).values())
