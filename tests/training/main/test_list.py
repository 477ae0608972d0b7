from pathlib import Path

from bundle.store import Store
from tests.conftest import SMALL_RECIPES
from tests.training.main.command import check_error, copy, record, reseal, run
from training import recipes
from training.recipes import RECIPES
from training.reports.results import Results


def test_list_shows_every_recipe_with_the_published_and_the_own_accuracy(small_store: Store) -> None:
    result = run("list", "--models", small_store.root, "--results", small_store.root / "none.jsonl")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if set(line.split()[:1]) & set(RECIPES)}
    assert list(lines) == list(RECIPES)
    for name, recipe in RECIPES.items():
        if name in SMALL_RECIPES:
            assert f"{small_store.open(name).manifest.metrics['accuracy']:.2%}" in lines[name]
        for published in list(recipe.published.values())[:1]:
            assert f"{published:.2%}" in lines[name]


def test_list_works_without_any_bundle(tmp_path: Path) -> None:
    result = run("list", "--models", tmp_path / "none")
    assert result.exit_code == 0
    assert "98.90%" in result.stdout
    assert "86.74%" in result.stdout
    assert not (tmp_path / "none").exists()


def test_list_shows_the_recorded_figures_rather_than_those_of_a_bundle(small_store: Store, tmp_path: Path) -> None:
    recorded = Results(tmp_path / "results.jsonl")
    for seed, accuracy in ((7, 0.25), (8, 0.2512)):
        for name in ("alphabet-time-steps", "alphabet-window"):
            recorded.add(record(recipes.find(name).with_settings([f"seed={seed}"]), accuracy=accuracy))
    recorded.add(record(recipes.find("imdb-20"), validation_accuracy=0.7654))
    recorded.add(record(recipes.find("torch").with_settings(["units=3"]), accuracy=0.8765))
    listed = run("list", "--models", small_store.root, "--results", recorded.path).stdout.splitlines()
    lines = {name: [line for line in listed if line.split()[:1] == [name]] for name in RECIPES}
    assert "25.06%" in lines["alphabet-time-steps"][0]
    assert "76.54%" in lines["imdb-20"][0]
    assert "25.06%" in lines["alphabet-window"][0]
    assert f"{small_store.open('stacked').manifest.metrics['accuracy']:.2%}" in lines["stacked"][0]
    assert "87.65%" not in lines["torch"][0]  # of other settings


def test_list_shows_the_figures_of_a_bundle_that_has_another_name(small_store: Store, tmp_path: Path) -> None:
    manifest = small_store.open("stacked").manifest
    folder = copy(small_store.open("stacked"), tmp_path / "letters" / "1")
    reseal(folder, name="letters")
    listed = run("list", "--models", tmp_path, "--results", tmp_path / "none.jsonl").stdout.splitlines()
    (line,) = (line for line in listed if line.split()[:1] == ["stacked"])
    assert f"{manifest.metrics['accuracy']:.2%}" in line


def test_list_refuses_a_results_file_that_is_broken(small_store: Store, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("{}\n")
    result = run("list", "--models", small_store.root, "--results", tmp_path / "results.jsonl")
    check_error(result, "line 1 of .*results.jsonl is not a run .*; remove it")


def test_list_names_a_damaged_bundle(small_store: Store, tmp_path: Path) -> None:
    folder = copy(small_store.open("next-letter"), tmp_path / "next-letter" / "1")
    (folder / "model.keras").write_bytes(b"")
    check_error(run("list", "--models", tmp_path), "next-letter/1/model.keras has SHA-256")


def test_without_a_command_the_commands_are_shown() -> None:
    output = run().output
    assert all(command in output for command in ("list", "train", "evaluate", "convert", "report"))
    output = run("convert").output
    assert all(command in output for command in ("from-torch", "to-torch"))
