import fcntl
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bundle.tokenisers import TokenTokeniser
from tests.conftest import SMALL_RECIPES, write_reviews
from tests.training.commands.command import ROOT
from training import recipes
from training.data import imdb
from training.distillation import stage_folders, stages
from training.distillation.corpus import Corpus
from training.distillation.language_model import reduce_vectors
from training.distillation.stages import Stages
from training.errors import CheckpointError, RecipeError
from training.evaluation.calibration import average_answers, find_temperature, to_logits
from training.loops.environment import describe_environment
from training.loops.resumable import read_history
from training.recipes.staged import STAGES, RoundSettings, StagedSettings

QUIET = Console(quiet=True)
SMALL = [
    *SMALL_RECIPES["sentiment"],
    "vocabulary_size=30",
    "length=6",  # of all reviews: most of the time goes to compiling, once for each length
    "validation_share=0.25",
    "language.units=3",
    "language.checkpoint_steps=5",
    *(
        f"{network}.{assignment}"
        for network in ("teacher", "student")
        for assignment in ("batch_size=8", "length=6", "checkpoint_steps=1")
    ),
]


def make_settings(*changes: str) -> StagedSettings:
    """Return the settings of a small recipe with all stages, or with these changes."""
    settings = recipes.find("sentiment").with_settings([*SMALL, *changes]).settings
    assert isinstance(settings, StagedSettings)
    return settings.model_copy(
        update={
            "student": settings.student.model_copy(update={"adversarial": "virtual"}),
            "second_round": RoundSettings(
                language=settings.language.model_copy(update={"embedding": 5}), teacher=settings.teacher
            ),
            "student_language": settings.language.model_copy(update={"units": 2, "embedding": 3}),
        }
    )


def check_same(found: h5py.File, name: str, expected: h5py.Group | h5py.Dataset) -> None:
    if isinstance(expected, h5py.Dataset):
        np.testing.assert_array_equal(found[name], expected)


class Killed(BaseException):
    """What ends a run in the middle of a stage."""


class KilledAtCheckpoint(Console):
    """A console at which a run is killed once it has said that the first checkpoint of a stage is saved."""

    def print(self, *objects: Any, **options: Any) -> None:
        if str(objects[0]).startswith("checkpoint 1 of"):
            raise Killed
        super().print(*objects, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, reviews: Path) -> Path:
    """The folder of stages that were never stopped."""
    folder = tmp_path_factory.mktemp("runs")
    Stages(make_settings(), folder, reviews, QUIET).student()
    return folder


def check_same_folder(found: Path, expected: Path) -> None:
    """Check that two stages have the same results, to the bit."""
    for path in expected.iterdir():
        again = found / path.name
        if path.suffix == ".npz" and path.stem != "checkpoint":  # whose history has seconds
            with np.load(path) as values, np.load(again) as same:
                for name in values:
                    np.testing.assert_array_equal(same[name], values[name])
        elif path.suffix == ".npy":
            np.testing.assert_array_equal(np.load(again), np.load(path))
        elif path.suffix == ".h5":
            with h5py.File(path) as values, h5py.File(again) as same:
                values.visititems(partial(check_same, same))


# One stage of each kind of training: language models, teachers of folds, and a student with adversarial steps.
@pytest.mark.parametrize("stage", ["language", "teachers", "student"])
def test_a_stage_that_is_killed_after_a_checkpoint_ends_as_one_that_never_was(
    runs: Path, reviews: Path, tmp_path: Path, stage: str
) -> None:
    folders = shutil.copytree(runs, tmp_path / "runs")
    finished = getattr(Stages(make_settings(), folders, reviews, QUIET), stage)()
    folder = finished[0] if isinstance(finished, list) else finished
    shutil.rmtree(folder)
    with pytest.raises(Killed):
        getattr(Stages(make_settings(), folders, reviews, KilledAtCheckpoint(quiet=True)), stage)()
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.npz", "lock", "settings.json"]
    getattr(Stages(make_settings(), folders, reviews, QUIET), stage)()
    assert len(read_history(folder / "checkpoint.npz")["loss"]) >= 2
    check_same_folder(folder, runs / folder.name)


@pytest.mark.parametrize("stage", ["corpus", "ngrams", "labels"])
def test_a_stage_that_is_killed_at_its_end_ends_as_one_that_never_was(
    runs: Path, reviews: Path, tmp_path: Path, stage: str
) -> None:
    folder: Path = getattr(Stages(make_settings(), shutil.copytree(runs, tmp_path / "runs"), reviews, QUIET), stage)()
    (folder / "done.json").unlink()
    assert getattr(Stages(make_settings(), folder.parent, reviews, QUIET), stage)() == folder
    check_same_folder(folder, runs / folder.name)


def test_a_process_that_is_killed_goes_on_where_it_was(runs: Path, reviews: Path, tmp_path: Path) -> None:
    options = [part for assignment in SMALL for part in ("--set", assignment)]
    command = [sys.executable, "-u", "-m", "training", "train", "sentiment", *options, "--stages", "language"]
    places = ["--data", str(reviews), "--runs", str(tmp_path)]
    with subprocess.Popen([*command, *places], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("checkpoint 1 of ") for line in process.stdout)
        process.kill()
    (checkpoint,) = tmp_path.glob("language-*/checkpoint.npz")
    assert not (checkpoint.parent / "done.json").exists()
    done = len(read_history(checkpoint)["loss"])
    folder = Stages(make_settings(), tmp_path, reviews, QUIET).language()
    assert 1 <= done < len(read_history(checkpoint)["loss"])
    with np.load(runs / folder.name / "weights.npz") as expected, np.load(folder / "weights.npz") as found:
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


def test_each_stage_leaves_its_folder(runs: Path) -> None:
    names = sorted(folder.name.rpartition("-")[0] for folder in runs.iterdir())
    assert names == sorted(["language", "language", "teacher", "teacher", *({*STAGES} - {"teachers"})])
    assert all((folder / "done.json").exists() for folder in runs.iterdir())


def test_a_stage_that_is_done_is_not_run_again_and_one_with_other_settings_is(
    runs: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for train in ("fit_resumably", "tune"):
        monkeypatch.setattr(stages, train, lambda *_: pytest.fail("it is trained again"))
    Stages(make_settings(), runs, reviews, QUIET).student()
    Stages(make_settings("student.epochs=3"), runs, reviews, QUIET).labels()
    with pytest.raises(pytest.fail.Exception):
        Stages(make_settings("teacher.epochs=3"), runs, reviews, QUIET).teachers()


def test_what_was_made_of_other_reviews_is_not_gone_on_from(runs: Path, reviews: Path, tmp_path: Path) -> None:
    folder = Stages(make_settings(), runs, reviews, QUIET).corpus()
    other = Stages(make_settings(), tmp_path / "runs", write_reviews(tmp_path / "other", 13), QUIET).corpus()
    assert folder.name != other.name


def test_held_out_reviews_have_neither_label_nor_place_in_what_is_read(
    runs: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Stages(make_settings(), runs, reviews, QUIET)
    coded = found.reviews()
    assert sorted([*coded.kept, *coded.held_out]) == list(range(24)) and len(coded.held_out) == 6
    assert len(coded.unlabelled) == 12 and len(coded.corpus) == 36

    def stop(read: Corpus, *_: object) -> NoReturn:
        expected = [*coded.kept, *coded.unlabelled]
        assert len(read) == len(expected) == 30
        for place, number in enumerate(expected):
            np.testing.assert_array_equal(read[place], coded.corpus[number])
        raise Killed

    monkeypatch.setattr(stages, "LanguageBatches", stop)
    with pytest.raises(Killed):
        Stages(make_settings(), tmp_path, reviews, QUIET).language()

    for labels in (coded.label(coded.kept[:3]), coded.mix_labels(np.load(found.labels() / "answers.npy"), 0.5)):
        assert (labels[coded.held_out] == -1).all()


def test_a_teacher_answers_what_it_has_not_seen_the_labels_of(
    runs: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Stages(make_settings(), runs, reviews, QUIET)
    coded, parts = made.reviews(), made.reviews().split(2)
    for seen, unseen, teacher in zip(parts[::-1], parts, made.teachers(), strict=True):
        assert sorted([*seen, *unseen]) == sorted(coded.kept)
        answers = np.load(teacher / "answers.npy")
        assert np.flatnonzero(np.isnan(answers)).tolist() == sorted(seen)

    def check(*arguments: object) -> NoReturn:
        labels = arguments[3]
        assert isinstance(labels, np.ndarray)
        assert np.flatnonzero(labels >= 0).tolist() == sorted(parts[1])
        raise Killed

    monkeypatch.setattr(stages, "tune", check)
    with pytest.raises(Killed):
        Stages(make_settings("teacher.epochs=3"), runs, reviews, QUIET).teachers()


def test_what_is_published_answers_as_the_student_but_for_temperature_and_rounding(
    runs: Path, reviews: Path, tmp_path: Path
) -> None:
    # A second round of so small a teacher leaves the student nothing to learn.
    alone = make_settings().model_copy(update={"second_round": None})
    made = Stages(alone, shutil.copytree(runs, tmp_path / "runs"), reviews, QUIET)
    network, coded = made.publish(), made.reviews()
    assert network.input_shape == (None, 6)
    assert network.layers[1].quantization_mode == "int8"
    for weight in (weight for layer in network.layers[2:] for weight in layer.get_weights()):
        np.testing.assert_array_equal(weight.astype(np.float16), weight)
    answers = np.load(made.student() / "answers.npy")[coded.held_out]
    ids = coded.corpus.pad(coded.held_out, 6, 0)
    published = network.predict(ids, verbose=0)[:, 0]
    slopes = to_logits(published) / to_logits(answers)
    temperature = find_temperature(answers, coded.labels[coded.held_out])
    assert temperature < 0.9  # two epochs leave it unsure
    np.testing.assert_allclose(slopes, 1 / temperature, rtol=0.2)


def test_ngrams_label_what_they_have_not_seen_the_labels_of(
    runs: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Stages(make_settings(), runs, reviews, QUIET)
    coded, texts = made.reviews(), [review.text for review in made.data.train]
    parts = iter(coded.split(2))

    def check(
        _: object, __: object, seen: list[str], labels: np.ndarray, asked: list[str], *___: object
    ) -> NDArray[np.float64]:
        unseen = next(parts)
        trained_on = [k for k in coded.kept if k not in unseen]
        assert seen == [texts[k] for k in trained_on]
        np.testing.assert_array_equal(labels, coded.labels[trained_on])
        assert asked[: len(unseen)] == [texts[k] for k in unseen]
        return np.full(len(asked), 0.5)

    monkeypatch.setattr("training.distillation.ngrams.soft_label", check)
    Stages(make_settings(), tmp_path, reviews, QUIET).ngrams()
    assert next(parts, None) is None


def test_the_second_round_and_the_student_learn_labels_mixed_with_the_given_ones(
    runs: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Stages(make_settings("label_weight=0.25"), runs, reviews, QUIET)
    coded, answers = made.reviews(), np.load(made.labels() / "answers.npy")

    def check(*arguments: object) -> NoReturn:
        np.testing.assert_array_equal(arguments[3], coded.mix_labels(average_answers([answers]), 0.25))
        raise Killed

    monkeypatch.setattr(stages, "tune", check)
    with pytest.raises(Killed):  # as it is not the one that is there
        made.second_round()
    alone = make_settings("label_weight=0.25").model_copy(update={"second_round": None})
    with pytest.raises(Killed):
        Stages(alone, runs, reviews, QUIET).student()


def test_the_second_round_labels_what_has_no_label_once_more(
    runs: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Stages(make_settings("student.epochs=3"), runs, reviews, QUIET)
    second, coded = made.second_round(), made.reviews()
    assert second
    answers = np.load(second / "answers.npy")
    assert np.flatnonzero(np.isnan(answers)).tolist() == sorted(coded.kept)
    first = np.load(made.labels() / "answers.npy")

    def check(*arguments: object) -> NoReturn:
        labels = arguments[3]
        assert isinstance(labels, np.ndarray)
        np.testing.assert_allclose(labels[coded.kept], (first[coded.kept] + coded.labels[coded.kept]) / 2, rtol=1e-6)
        logits = (to_logits(first) + to_logits(answers)) / 2
        np.testing.assert_allclose(to_logits(labels[coded.unlabelled]), logits[coded.unlabelled], rtol=1e-4)
        raise Killed

    monkeypatch.setattr(stages, "tune", check)
    with pytest.raises(Killed):
        made.student()


def test_a_recipe_without_a_second_round_has_none(runs: Path, reviews: Path) -> None:
    alone = make_settings().model_copy(update={"second_round": None})
    assert Stages(alone, runs, reviews, QUIET).second_round() is None


def test_labels_are_the_likeliest_mixture_of_teachers_and_ngrams(runs: Path, reviews: Path) -> None:
    made = Stages(make_settings(), runs, reviews, QUIET)
    coded = made.reviews()
    given = {
        "teachers": average_answers([np.load(teacher / "answers.npy") for teacher in made.teachers()]),
        "ngrams": np.load(made.ngrams() / "answers.npy"),
    }
    labels = np.load(made.labels() / "answers.npy")
    assert ((labels > 0) & (labels < 1)).all()
    figures = stage_folders.read_figures(made.labels())
    for name, answers in given.items():
        measured = coded.measure(answers)
        assert figures[f"{name}_accuracy"] == measured["held_out_accuracy"]
        assert figures["held_out_loss"] < measured["held_out_loss"]
    assert figures["held_out_loss"] == pytest.approx(coded.measure(labels)["held_out_loss"])
    # Words of the one label are never in reviews of the other, which counts find out at once.
    assert figures["ngrams_accuracy"] == 1 and figures["ngrams_weight"] > figures["teachers_weight"]


def test_the_language_model_of_a_smaller_student_reads_the_word_vectors_of_the_large_one(
    runs: Path, reviews: Path
) -> None:
    made = Stages(make_settings(), runs, reviews, QUIET)
    large, own = made._last_language(), made._student_language()
    assert large != made.language()
    counts = made.reviews().count_words()
    with np.load(large / "weights.npz") as learnt, np.load(own / "weights.npz") as found:
        np.testing.assert_array_equal(found["embedding"], reduce_vectors(learnt["embedding"], counts, 3))
        assert found["forward_kernel"].shape == (3, 8)
    as_large = make_settings().model_copy(update={"student_language": None})
    assert Stages(as_large, runs, reviews, QUIET)._student_language() == large


def test_a_card_tells_what_each_stage_gave(runs: Path, reviews: Path) -> None:
    made = Stages(make_settings(), runs, reviews, QUIET)
    text = made.describe()
    assert text.startswith(
        "Of these, 12 have no given label, only labels of networks and n-grams.\n6 more labelled reviews were held"
    )
    rows = [line.split(" | ")[0] for line in text.splitlines() if f" min | {describe_environment()} | " in line]
    names = ["corpus", "ngrams", "language", "teacher 1", "teacher 2", "labels"]
    names += ["language of the second round", "teacher of the second round", "language of the student", "student"]
    assert rows == [f"| {name}" for name in names]
    ended = [(folder / "done.json").stat().st_mtime_ns for folder in made._list_folders().values()]
    assert ended == sorted(ended)
    figures = stage_folders.read_figures(made.student())
    assert f"held_out_accuracy {figures['held_out_accuracy']:.4f}".rstrip("0").rstrip(".") in text
    assert made.count_seconds() > figures["seconds"]


def test_a_folder_in_which_another_process_works_is_refused(runs: Path, reviews: Path, tmp_path: Path) -> None:
    folder = tmp_path / Stages(make_settings(), runs, reviews, QUIET).corpus().name
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match=f"another process works in .*{folder.name}; wait for it"):
            Stages(make_settings(), tmp_path, reviews, QUIET).corpus()


def test_a_later_language_model_that_has_no_step_is_refused_before_the_teacher_is_trained(
    runs: Path, reviews: Path
) -> None:
    settings = make_settings("seed=8")
    assert settings.second_round
    language = settings.language.model_copy(update={"batch_size": 4000})
    for changed in (
        {"student_language": language},
        {"second_round": settings.second_round.model_copy(update={"language": language})},
    ):
        with pytest.raises(RecipeError, match="words are too few for 4000 streams"):
            Stages(settings.model_copy(update=changed), runs, reviews, QUIET).language()


def test_a_share_that_holds_out_no_review_is_refused(reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="validation_share=0.001 of 24 reviews holds out none; set a larger share"):
        Stages(make_settings("validation_share=0.001"), tmp_path, reviews, QUIET).corpus()


def test_a_settings_file_says_what_a_stage_depends_on(runs: Path, reviews: Path) -> None:
    (folder,) = (folder for folder in runs.iterdir() if folder.name.startswith("corpus"))
    found = json.loads((folder / "settings.json").read_text())
    assert found == {
        "vocabulary_size": 30,
        "endings": 8,
        "validation_share": 0.25,
        "dataset": imdb.load(reviews).sha256,
        "tokeniser": TokenTokeniser().model_dump(),
        "format": 1,
    }
