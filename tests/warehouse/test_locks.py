import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.errors import LakeError
from warehouse.lake import locked

ROOT = Path(__file__).parents[2]
# Takes the lock as fast as it can; a second holder at the same time would find the file that the first one made.
WORKER = """
import os, sys
from pathlib import Path
from warehouse.errors import LakeError
from warehouse.lake import locked
lake, held = Path(sys.argv[1]), 0
alone = lake / "alone"
while held < 300:
    try:
        with locked(lake, "r-1"):
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            alone.unlink()
            held += 1
    except LakeError:
        pass
print("never two")
"""


def test_the_lock_of_a_run_is_exclusive_and_leaves_no_file(tmp_path):
    with (
        locked(tmp_path, "r-1"),
        pytest.raises(LakeError, match="another process is writing the run r-1"),
        locked(tmp_path, "r-1"),
    ):
        pass
    assert list((tmp_path / "staging").iterdir()) == []
    with pytest.raises(KeyError), locked(tmp_path, "r-1"):
        raise KeyError
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_lock_on_a_file_that_lost_its_name_does_not_count(tmp_path, monkeypatch):
    path = tmp_path / "staging/r-1.lock"
    taken = []

    def flock(file, how):
        if not taken:  # another process ends in between: the file that we opened is deleted
            path.unlink()
        taken.append(path.exists())

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path, "r-1"):
        assert taken == [False, True]
        assert path.exists()


def test_what_a_killed_process_left_is_taken_over(tmp_path):
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/r-1.lock").touch()
    with locked(tmp_path, "r-1"):
        pass
    assert list((tmp_path / "staging").iterdir()) == []


def test_processes_that_come_and_go_never_hold_the_lock_together(tmp_path):
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [worker.communicate()[0] for worker in workers] == ["never two\n"] * 3
