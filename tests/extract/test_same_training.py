"""Two trainings in one lake: told apart where they lie apart, refused where one was put in the other's place."""

import shutil
from dataclasses import replace

import pytest

from extract.run import extract
from extract.sweep import sweep
from tests.extract.tiny_folder import write_model
from tests.extract.tiny_runs import quiet
from tests.extract.tiny_sweep import STEPS, asked, checkpoints_of, write_training
from warehouse.errors import LakeError
from warehouse.lake import open_lake


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return write_training(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def models(trained, tmp_path):
    """The checkpoints, to be altered."""
    return shutil.copytree(trained / "models", tmp_path / "models")


@pytest.mark.parametrize("again", ["step*", "step0", "step16"])
def test_a_training_done_again_in_place_is_not_mixed_with_the_first(trained, models, tmp_path, again):
    settings = asked(trained, tmp_path / "lake", models)
    first, second = sweep(settings, "step0,step4", quiet)
    write_model(models / "step4", 9)
    refused = f"{second} in .* was made from other files of step4: the checkpoints"
    with pytest.raises(LakeError, match=refused):
        sweep(settings, again, quiet)
    for revision in STEPS:
        with pytest.raises(LakeError, match=refused):
            extract(replace(settings, revision=revision), quiet)
    assert {run.name for run in open_lake(settings.lake).runs} == {first, second}


def test_a_checkpoint_that_was_removed_does_not_stop_the_others(trained, models, tmp_path):
    settings = asked(trained, tmp_path / "lake", models)
    sweep(settings, "step0,step4", quiet)
    shutil.rmtree(models / "step4")
    (models / "step0" / "model.safetensors").unlink()
    sweep(settings, "step16", quiet)
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 4, 16]


def test_two_trainings_from_one_initialisation_share_a_lake(trained, models, tmp_path):
    settings = asked(trained, tmp_path / "lake")
    first = sweep(settings, "step*", quiet)
    write_model(models / "step4", 8)
    (models / "step16").rename(models / "step8")
    other = replace(settings, model=str(models))
    second = sweep(other, "step*", quiet)
    assert not set(first) & set(second)
    steps = {(last, step): run for step, run, last in checkpoints_of(settings.lake)}
    assert [steps[first[-1], step] for step in (0, 4, 16)] == first
    assert [steps[second[-1], step] for step in (0, 4, 8)] == second
    # either goes on as itself, one checkpoint at a time too
    assert sweep(settings, "step*", quiet) == first
    assert extract(replace(other, revision="step0"), quiet) == second[0]


def test_a_folder_that_was_moved_begins_a_sweep_of_its_own(trained, models, tmp_path):
    settings = asked(trained, tmp_path / "lake", models)
    first = sweep(settings, "step0", quiet)
    moved = models.rename(tmp_path / "elsewhere")
    assert not set(first) & set(sweep(replace(settings, model=str(moved)), "step*", quiet))
    assert [step for step, *_ in checkpoints_of(settings.lake)] == [0, 0, 4, 16]
