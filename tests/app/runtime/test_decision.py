from typing import Any

import pytest

from app.runtime.decision import decide
from app.runtime.policy import Policy


def make(**fields: Any) -> Policy:
    """Return a policy: labels with their versions, and other fields with an underscore before their names."""
    others = {name.removeprefix("_"): fields.pop(name) for name in [*fields] if name.startswith("_")}
    return Policy(labels=fields, **others)


# The policy, the last good one, the good ones among the versions 6, 7 and 8; then what is loaded, the labels, the
# version that answers, and the labels of the next last good policy.
CASES: dict[str, tuple[Policy | None, Policy | None, set[int], set[int], dict[str, int], int | None, Policy | None]] = {
    "no policy": (make(), None, {6, 7, 8}, {8}, {}, 8, make()),
    "no policy, the newest is bad": (make(), None, {6, 7}, {7}, {}, 7, make()),
    "no policy, nothing is good": (make(), None, set(), set(), {}, None, make()),
    "pinned": (make(stable=6), None, {6, 7, 8}, {6, 8}, {"stable": 6}, 6, make(stable=6)),
    "pinned to another": (make(stable=7), make(stable=6), {6, 7, 8}, {7, 8}, {"stable": 7}, 7, make(stable=7)),
    "no longer pinned": (make(), make(stable=6), {6, 7, 8}, {8}, {}, 8, make()),
    "pinned to what is not there": (
        make(stable=99),
        make(stable=6),
        {6, 7, 8},
        {6, 8},
        {"stable": 6},
        6,
        make(stable=6),
    ),
    "pinned to a bad one": (make(stable=7), make(stable=6), {6, 8}, {6, 8}, {"stable": 6}, 6, make(stable=6)),
    "pinned to a bad one, and the one before is bad by now": (
        make(stable=8),
        make(stable=7),
        {6},
        {6},
        {},
        6,
        make(stable=7),
    ),
    "pinned to a bad one, never to another": (make(stable=7), None, {6, 8}, {6, 8}, {}, 6, make(stable=7)),
    "pinned to a bad one, and none before": (make(stable=6), None, {7, 8}, {8}, {}, None, make(stable=6)),
    "one label is wrong": (
        make(stable=8, candidate=99),
        make(stable=6, candidate=7),
        {6, 7, 8},
        {7, 8},
        {"stable": 8, "candidate": 7},
        8,
        make(stable=8, candidate=7),
    ),
    "unreadable": (None, make(stable=6), {6, 7, 8}, {6, 8}, {"stable": 6}, 6, make(stable=6)),
    "unreadable, never pinned": (None, make(), {6, 7, 8}, {8}, {}, 8, make()),
    "unreadable from the first": (None, None, {6, 7, 8}, set(), {}, None, None),
    "unreadable, unloaded before": (
        None,
        make(_is_loaded=False),
        {6, 7, 8},
        set(),
        {},
        None,
        make(_is_loaded=False),
    ),
    "unloaded": (
        make(stable=99, _is_loaded=False),
        make(stable=6),
        {6, 7, 8},
        set(),
        {},
        None,
        make(stable=6, _is_loaded=False),
    ),
    "shadow share": (
        make(stable=6, _shadow_share=0.5),
        make(stable=6),
        {6, 7, 8},
        {6, 8},
        {"stable": 6},
        6,
        make(stable=6, _shadow_share=0.5),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])
def test_a_policy_decides_which_versions_are_loaded_and_which_one_answers(case: Any) -> None:
    policy, good, loadable, kept, labels, default, next_good = case
    decided = decide(policy, good, [6, 7, 8], loadable.__contains__)
    assert (decided.kept, decided.labels, decided.default, decided.good) == (kept, labels, default, next_good)


@pytest.mark.parametrize("case", CASES.values(), ids=[*CASES])
def test_a_process_that_starts_later_decides_the_same_by_the_last_good_policy(case: Any) -> None:
    policy, good, loadable, *_ = case
    first = decide(policy, good, [6, 7, 8], loadable.__contains__)
    later = decide(policy, first.good, [6, 7, 8], loadable.__contains__)
    assert later == first


def test_several_of_the_newest_good_versions_are_loaded() -> None:
    assert decide(Policy(), None, [1, 2, 3, 4], {1, 2, 4}.__contains__, newest=2).kept == {2, 4}


def test_no_version_is_looked_at_twice_or_without_need() -> None:
    looked: list[int] = []

    def look(number: int) -> bool:
        looked.append(number)
        return number != 4

    decided = decide(make(stable=3, candidate=4), make(stable=2, candidate=3), [1, 2, 3, 4], look)
    assert decided.labels == {"stable": 3, "candidate": 3} and sorted(looked) == [3, 4]
