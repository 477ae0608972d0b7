from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines import load_engine
from app.scoring.answers import Refused
from app.scoring.scorer import EngineScorer
from app.settings import Settings
from bundle.rows import Row
from bundle.store import Store
from tests.app.scoring.conftest import MODELS, NAME, MakeScorer, make_texts


def test_each_text_has_the_answer_that_it_has_alone(make_scorer: MakeScorer) -> None:
    texts = [*make_texts(100), "", "qwxz", "word " * 900]
    scorer = make_scorer()
    together = scorer.score(texts)
    assert together == [scorer.score([text])[0] for text in texts]
    assert [answer["sentiment"] for answer in together[100:102] if isinstance(answer, dict)] == [None, None]
    last = together[-1]
    assert isinstance(last, dict) and last["words_cut"] > 0
    assert scorer.score([]) == []


def test_rows_run_in_batches_of_similar_lengths() -> None:
    bundle = Store(MODELS).open(NAME)
    engine = load_engine(bundle, Settings())
    batches: list[list[int]] = []

    class Recording:
        batch_rows = 8
        count_steps = staticmethod(engine.count_steps)

        def run(self, rows: Sequence[Row]) -> NDArray[np.float32]:
            batches.append([len(row) for row in rows])
            return engine.run(rows)

    EngineScorer(bundle, Recording(), 1000).score(make_texts(200))
    assert max(map(len, batches)) == 8
    assert sum(map(len, batches)) == 200
    assert sum(len(batch) * max(batch) for batch in batches) < 1.1 * sum(map(sum, batches))


def test_a_text_that_the_model_cannot_read_is_refused_alone(make_scorer: MakeScorer) -> None:
    first, second, third = make_scorer("next-letter").score(["ABC", "A?", "XYZ"])
    assert isinstance(first, dict) and first["next_letter"] == "D"
    assert isinstance(second, Refused) and second.reason.startswith("'?' (U+003F) at position 1")
    assert isinstance(third, dict) and third["next_letter"] == "A"


@pytest.mark.parametrize("name", [NAME, "next-letter"])
def test_an_answer_is_that_of_the_service_in_json(make_scorer: MakeScorer, name: str) -> None:
    (answer,) = make_scorer(name).score(["ABC"])
    assert isinstance(answer, dict) and {"model", "version"} <= answer.keys()
