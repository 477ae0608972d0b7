from pathlib import Path

import pytest

from training.wild import report
from training.wild.measured import Figure, Kind, Measured, Section, hash_rows


def make_section(kind: Kind, **figures: tuple[float, int]) -> Section:
    made = {name.replace("_", " "): Figure(value=value, texts=texts) for name, (value, texts) in figures.items()}
    return Section(kind=kind, sha256=hash_rows(kind), texts=40, figures=made)


def make_measured(*suites: tuple[str, Section], answered: int = 40) -> Measured:
    figures = {"right": (0.5, 40), "no_verdict": (1 - answered / 40, 40)}
    if answered < 40:
        figures["right_among_answered"] = (0.5, answered)
    figures["calibration_error"] = (0.1, answered)
    pairs = make_section("pairs", **figures)
    return Measured(
        suites={"pairs": pairs, "frames": make_section("frames", right=(0.25, 40)), **dict(suites)},
        changes=make_section("changes", capitals=(0.2, 40)),
        narration=None,
        fairness=make_section("fairness", faith=(0.3, 40)),
    )


def test_a_table_has_the_number_of_texts_of_each_figure() -> None:
    text = report.describe({"one": make_measured(), "other": make_measured(answered=30)})
    assert text.startswith("Pairs of opinions by authors")
    assert "| figure | texts | one | other |\n| --- | --- | --- | --- |\n| right | 40 | 50.0% | 50.0% |" in text
    assert "| no verdict | 40 | 0.0% | 25.0% |" in text
    assert "| calibration error | 40 / 30 | 10.0% | 10.0% |" in text
    assert "| right among answered | - / 30 | - | 50.0% |" in text


def test_the_figures_of_all_classifiers_come_in_one_order() -> None:
    text = report.describe({"one": make_measured(), "other": make_measured(answered=30)})
    rows = [line.split(" | ")[0] for line in text.partition("\n\nComposed")[0].splitlines()[4:]]
    assert rows == ["| right", "| no verdict", "| right among answered", "| calibration error"]


def test_a_file_is_shown_as_a_file_whatever_its_name() -> None:
    file = ("/my/treebank", make_section("file", right=(0.5, 40)))
    text = report.describe({"one": make_measured(file)})
    assert "The file `/my/treebank`:\n" in text
    assert "Sentences of the Stanford" not in text


def test_figures_are_plotted_also_where_a_classifier_lacks_some(tmp_path: Path) -> None:
    report.write({"one": make_measured(), "other": make_measured(answered=30)}, tmp_path / "out")
    assert (tmp_path / "out" / "wild.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "wild.md").read_text("utf-8").startswith("Pairs of opinions")


def test_written_figures_are_read_again(tmp_path: Path) -> None:
    measured = make_measured(("treebank", make_section("treebank", right=(0.5, 40))))
    measured.write(tmp_path / "wild.json")
    assert Measured.read(tmp_path / "wild.json") == measured
    assert [*measured.list_sections()] == ["pairs", "frames", "treebank", "changes", "fairness"]


@pytest.mark.parametrize("text", ['{"pairs": 0.5, "pairs, kind: irony": 0.4}', "[]", ""])
def test_the_figures_of_an_earlier_release_are_not_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "wild.json").write_text(text)
    assert Measured.read(tmp_path / "wild.json") is None
