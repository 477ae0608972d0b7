import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import PolicyError
from app.files import lock_folder
from app.runtime.policy import POLICY_FILE, Policy, change_policy, read_policy


def count_up(policy: Policy) -> Policy:
    return policy.model_copy(update={"labels": {"counter": policy.labels.get("counter", 0) + 1}})


def test_a_folder_without_a_file_has_the_default_policy(tmp_path: Path) -> None:
    assert read_policy(tmp_path) == Policy(labels={}, shadow_share=0, is_loaded=True)


def test_a_change_is_what_is_read_afterwards(tmp_path: Path) -> None:
    wanted = Policy(labels={"stable": 3}, shadow_share=0.25, is_loaded=False)
    assert change_policy(tmp_path, lambda _: wanted) == wanted
    assert read_policy(tmp_path) == wanted
    assert [path.name for path in tmp_path.iterdir()] == [POLICY_FILE]


def test_changes_at_the_same_time_all_take_effect(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: change_policy(tmp_path, count_up), range(60)))
    assert read_policy(tmp_path).labels == {"counter": 60}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "it is not JSON at line 1, column 1"),
        ('{"labels": {"stable": 0}}', "labels.stable: Input should be greater than or equal to 1"),
        ('{"labels": {"Stable": 1}}', "labels.Stable.*: String should match pattern"),
        ('{"shadow_share": 1.5}', "shadow_share: Input should be less than or equal to 1"),
        ('{"pinned": 1}', "pinned: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_place_and_stays_as_it_was(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / POLICY_FILE
    path.write_text(content)
    with pytest.raises(PolicyError, match=f"^{path} is not a policy: {problem}.*; correct it or delete it$"):
        change_policy(tmp_path, count_up)
    assert path.read_text() == content


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / POLICY_FILE).mkdir()
    with pytest.raises(PolicyError, match="cannot be read .*; make it readable"):
        read_policy(tmp_path)


def test_a_file_past_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / POLICY_FILE).write_bytes(b" " * (2 << 20))
    with pytest.raises(PolicyError, match="policy.json is too large for a policy; correct it or delete it"):
        read_policy(tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_policy_as_it_was(tmp_path: Path) -> None:
    change_policy(tmp_path, count_up)

    def remove_folder(policy: Policy) -> Policy:
        (tmp_path / POLICY_FILE).rename(tmp_path.parent / "kept.json")
        tmp_path.rmdir()
        return count_up(policy)

    with pytest.raises(PolicyError, match="cannot be written .*No such file.*; make the folder writable"):
        change_policy(tmp_path, remove_folder)
    assert json.loads((tmp_path.parent / "kept.json").read_text())["labels"] == {"counter": 1}


def test_a_folder_for_the_policy_is_made(tmp_path: Path) -> None:
    change_policy(tmp_path / "policies" / "model", count_up)
    assert read_policy(tmp_path / "policies" / "model").labels == {"counter": 1}


def test_a_change_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    assert change_policy(tmp_path, lambda policy: policy) == Policy()
    assert not [*tmp_path.iterdir()]


def test_a_new_file_can_be_read_by_all_and_a_changed_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / POLICY_FILE
    before = os.umask(0o077)
    try:
        change_policy(tmp_path, count_up)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.chmod(0o640)
        change_policy(tmp_path, count_up)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_a_link_stays_a_link_and_one_to_nothing_is_no_policy(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / POLICY_FILE).symlink_to(tmp_path / "kept.json")
    with pytest.raises(PolicyError, match="is a link to a file that is not there; correct it or delete it"):
        read_policy(folder)
    change_policy(tmp_path, count_up)
    (tmp_path / POLICY_FILE).rename(tmp_path / "kept.json")
    change_policy(folder, count_up)
    assert (folder / POLICY_FILE).is_symlink()
    assert json.loads((tmp_path / "kept.json").read_text())["labels"] == {"counter": 2}


def test_a_change_to_what_is_no_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="^the change is not possible: shadow_share: Input should be"):
        change_policy(tmp_path, lambda policy: policy.model_copy(update={"shadow_share": float("nan")}))
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_another_process_has_locked_for_long_is_not_waited_for(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(PolicyError, match="another process holds the lock of its folder"):
        change_policy(tmp_path, count_up)
