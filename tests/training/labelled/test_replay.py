from training.data import pairs
from training.labelled.replay import list_texts


def test_half_of_the_texts_are_of_pairs_to_train_on() -> None:
    texts = list_texts(21, 1)
    train, others = (
        {text for group in pairs.load(part) for text in (group.positive, group.negative, group.neutral)}
        for part in ("train", "report")
    )
    assert len(texts) == len({*texts}) == 21
    assert sum(text in train for text in texts) == 11
    assert not others & {*texts}
    assert texts == list_texts(21, 1) != list_texts(21, 2)
