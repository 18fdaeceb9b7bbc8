import pytest

from training.folder import NAME, write_whole
from warehouse.errors import LakeError


def write(text):
    def fill(folder):
        (folder / "file").write_text(text)
        return {"done": text}

    return fill


def test_a_training_replaces_an_earlier_one_and_what_was_there_of_it(tmp_path):
    target = tmp_path / "bed"
    write_whole(target, {"kind": "neox"}, write("one"))
    (target / "old").write_text("")
    assert write_whole(target, {"kind": "neox"}, write("two"))["done"] == "two"
    assert sorted(path.name for path in target.iterdir()) == ["file", NAME]
    assert [path.name for path in tmp_path.iterdir()] == ["bed"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "bed").mkdir()
    assert write_whole(tmp_path / "bed", {"kind": "neox"}, write("one"))["kind"] == "neox"


@pytest.mark.parametrize("name", ["notes.txt", NAME])
def test_foreign_files_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(LakeError, match="did not write"):
        write_whole(tmp_path, {"kind": "neox"}, write("one"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "bed").write_text("")
    with pytest.raises(LakeError, match="not a folder"):
        write_whole(tmp_path / "bed", {"kind": "neox"}, write("one"))


def test_a_training_that_ends_early_leaves_what_was_there(tmp_path):
    target = tmp_path / "bed"
    write_whole(target, {"kind": "neox"}, write("one"))

    def fail(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(target, {"kind": "neox"}, fail)
    assert (target / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["bed"]
