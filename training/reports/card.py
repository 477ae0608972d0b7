"""The model card: a bundle's description for people."""

import json
import re
import shlex
from pathlib import Path

from bundle.manifest import Description
from bundle.readable import ReadableTokeniser
from bundle.reviews import ReviewPreprocessing
from training import recipes
from training.data import pairs
from training.evaluation.plots import CONFUSION_MATRIX, LEARNING_CURVE, ROC_CURVE
from training.recipes.general import GeneralSettings
from training.recipes.labelled import LabelledSettings
from training.recipes.recipe import Recipe
from training.recipes.reviews import ReviewSettings
from training.recipes.sequences import SequenceSettings
from training.recipes.settings import flatten
from training.recipes.stack import StackSettings, TrainingSettings
from training.tasks import TRAINED

CARD = "README.md"

_READING = "## What it reads"

# What `ReadableTokeniser` makes of a text, for people: change it together with the tokeniser.
READABLE = """\
The network reads a text as a reader sees it, as words and marks:

- Markup and what it hides (comments, scripts, styles) is dropped, HTML entities are resolved. "a < b" stays.
- Accents are dropped. Full-width and other look-alike characters, typographic quotation marks and apostrophes become
  the plain ones.
- Words keep their case, but a text all in capitals is read in lower case. A word with an apostrophe is one word, "'s"
  is a word of its own; "wasnt" and "was n't" are read as "wasn't".
- An address, of a page or of mail, is one word, the same for all addresses; so is a mention (@name). The words of a
  #hashtag are words.
- A rating in figures (8/10, 4 out of 5, 87/100, 4★) becomes tenths, more than the whole is 10/10. A row of stars
  (★★★☆☆) becomes whole and half stars of five.
- Emoji and emoticons with a clear feeling become a smiling or a frowning face; others are unknown marks.
- A censored word ("sh*t") is one word. Of an elongation ("goooood") the short form is read, of a run of "!" and "?"
  three marks.
- A word outside the vocabulary is read by its ending. A text without any known word gets no verdict. Stars, emoji,
  emoticons, mentions and addresses are no words: "8/10" and "5 stars" get one, "★★★★★" does not."""

_FURTHER_DATA = {
    "phrases": "Stanford Sentiment Treebank (its training and development sentences, one after the other)",
    "pairs": "Pairs of opinions (the names and contents of the files of `training/data/pairs`)",
    "own_phrases": "Short texts of the user's own (with their probabilities)",
}


def write_card(
    folder: Path,
    recipe: Recipe,
    description: Description,
    parameters: int,
    seconds: float,
    stages: str = "",
    analysis: str = "",
) -> None:
    """Write the model card of a bundle; the plots must be in the folder already.

    `stages` describes the training stages, if the recipe has any; `analysis` has the accuracy by kind of example. Both
    are Markdown or empty.
    """
    is_converted = "converted" in description.recipe
    figures = _describe_figures(folder, recipe, description, analysis)
    settings = "\n".join(
        f"| `{name}` | {value if value is not None else '-'} | {meaning.replace('|', '/')} |"
        for name, (value, meaning) in flatten(recipe.settings).items()
        if not (is_converted and name in TrainingSettings.model_fields.keys() - StackSettings.model_fields)
    )
    dataset = description.dataset
    (folder / CARD).write_text(
        f"""\
# {description.name}

{recipe.summary[0].upper()}{recipe.summary[1:]}.

Task `{description.task}`, {parameters:,} parameters, {_made(description, seconds)}. Recipe from: {recipe.source}.

{figures}{describe_onnx(description)}{_describe_reading(description)}## Use and limits

{TRAINED[description.task].describe_use(recipe, description)}

## Data

{dataset.name}: {dataset.training_examples:,} examples for training; SHA-256 of the contents `{dataset.sha256}`.
{_describe_further_data(description)}
{stages}
## Recipe

`{_command(recipe, description)}` makes this bundle, with these settings:

| setting | value | meaning |
|---|---|---|
{settings}

{describe_frameworks(description)}
""",
        encoding="utf-8",
    )


def renew_card(folder: Path, recipe: Recipe, description: Description, analysis: str) -> None:
    """Replace the sections on figures, ONNX and reading of the card in a folder, and keep the others."""
    path = folder / CARD
    head, *sections = re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = [section for section in sections if not section.startswith(("## Figures", "## As ONNX", _READING))]
    new = [
        _describe_figures(folder, recipe, description, analysis),
        describe_onnx(description),
        _describe_reading(description),
    ]
    text = "".join([head, *new, *kept])
    # In cards of earlier releases this line begins with another verb.
    frameworks = re.compile(r"^(?:Made|Published) with .*$", re.MULTILINE)
    path.write_text(frameworks.sub(describe_frameworks(description), text), "utf-8")


def _describe_figures(folder: Path, recipe: Recipe, description: Description, analysis: str) -> str:
    figures = "\n".join(
        f"| {metric} | {value:.4f} | {_published(recipe, description, metric)} |"
        for metric, value in description.metrics.items()
    )
    plots = [name for name in (LEARNING_CURVE, CONFUSION_MATRIX, ROC_CURVE) if (folder / name).exists()]
    return f"""\
## Figures

On {description.dataset.test_examples:,} examples ({TRAINED[description.task].describe_examples(recipe, description)}):

| metric | this bundle | published by the source |
|---|---|---|
{figures}

{" ".join(f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in plots)}

Check them with `python -m training evaluate models/{description.name}/<version>{_name_data(recipe, description)}`.

""" + (f"{analysis}\n" if analysis else "")


def describe_onnx(description: Description) -> str:
    """Return the section on the ONNX files, "" if there are none."""
    found = description.onnx
    if not found:
        return ""
    names = list(next(iter(found.forms.values())).held_out)
    rows = [
        [f"`{form.file}`", precision, f"{form.difference:.1e}", str(form.batch_rows)]
        + [f"{form.held_out[name]:.4f}" for name in names]
        for precision, form in found.forms.items()
    ]
    header = ["file", "weights of the LSTMs", "largest difference from Keras", "rows of a batch"]
    header += [f"held-out {name.replace('_', ' ')}" for name in names]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
    choice = (
        f"The service answers with `{found.forms[found.default].file}`, and all figures of this card are measured on "
        "it; `LSTM_SERVE_PRECISION=float32` chooses the other."
        if len(found.forms) > 1
        else "All figures of this card are measured on this file."
    )
    steps = "all its steps for every row" if found.every_step else "as many steps as a row has"
    return f"""\
## As ONNX

Opset {found.opset}; compared with Keras on {found.compared_rows:,} rows. It runs {steps}.

{table}

{choice}

"""


def _describe_reading(description: Description) -> str:
    """Return the section on what a reader sees of a text, "" for tokenisers that read all of it."""
    preprocessing = description.preprocessing
    if isinstance(preprocessing, ReviewPreprocessing) and isinstance(preprocessing.tokeniser, ReadableTokeniser):
        return f"{_READING}\n\n{READABLE}\n\n"
    return ""


def _find_further_data(description: Description) -> dict[str, str]:
    """Return the SHA-256 of the data besides the reviews, by their field in `Sources`."""
    found = description.recipe.get("learnt_from")
    return {name: str(sha256) for name, sha256 in found.items()} if isinstance(found, dict) else {}


def _describe_further_data(description: Description) -> str:
    """Return the lines on the data besides the dataset; the last one has no end."""
    return "".join(
        f"\n{_FURTHER_DATA[name]}: SHA-256 `{sha256}`.\n" for name, sha256 in _find_further_data(description).items()
    )


def describe_frameworks(description: Description) -> str:
    """Return the line on the releases of Python and the libraries."""
    return f"Published with {', '.join(f'{name} {version}' for name, version in description.frameworks.items())}."


def _made(description: Description, seconds: float) -> str:
    converted = description.recipe.get("converted")
    if isinstance(converted, dict):
        return f"weights converted from PyTorch (`{converted['file']}`, SHA-256 `{converted['sha256']}`)"
    return f"trained in {_duration(seconds)}"


def _command(recipe: Recipe, description: Description) -> str:
    """Return the command for a shell."""
    if isinstance(converted := description.recipe.get("converted"), dict):
        words = ["convert", "from-torch", str(converted["file"]), recipe.name]
        words += TRAINED[description.task].list_conversion_options(description)
    else:
        words = ["train", recipe.name]
    changes = recipes.find_changes(recipe)
    if isinstance(recipe.settings, SequenceSettings):
        words += ["--data", "FILE"] + ["--test", "FILE"] * ("test_share" in changes)
        words += ["--alphabet", recipe.settings.alphabet] if recipe.settings.alphabet else []
        words += ["--fold-case"] * recipe.settings.fold_case
        changes = {key: value for key, value in changes.items() if key not in ("alphabet", "fold_case", "test_share")}
    if isinstance(recipe.settings, LabelledSettings):
        words += ["--data", "FILE"] + ["--test", "FILE"] * (recipe.settings.test_share == 0)
        words += ["--from", "none"] * ("start" not in description.recipe)
        changes = {key: value for key, value in changes.items() if (key, value) != ("test_share", 0)}
    if isinstance(recipe.settings, ReviewSettings) and description.dataset.files:
        words += ["--data", "FILE"]
    for key, value in changes.items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]
    if isinstance(recipe.settings, GeneralSettings):
        further = _find_further_data(description)
        words += ["--data", "aclImdb_v1.tar.gz", "--phrases", "trainDevTestTrees_PTB.zip"]
        words += ["--phrases", "FILE"] * ("own_phrases" in further)
        words += ["--transformer", "all-MiniLM-L6-v2"]
        if further.get("pairs") not in (None, pairs.hash_files()):
            words += ["--pairs", "pairs"]
    if description.name != recipe.name:
        words += ["--name", description.name]
    if isinstance(start := description.recipe.get("start"), dict):
        words += ["--from", f"models/{start['name']}/{start['version']}"]
    return shlex.join(["python", "-m", "training", *words])


def _name_data(recipe: Recipe, description: Description) -> str:
    """Return the option for data that only the user has."""
    is_own = isinstance(recipe.settings, SequenceSettings | LabelledSettings) or description.dataset.files
    return " --data FILE" if is_own else ""


def _published(recipe: Recipe, description: Description, metric: str) -> str:
    published = None if description.dataset.files else recipes.find_published(recipe, metric)
    return "-" if published is None else f"{published:.4f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
