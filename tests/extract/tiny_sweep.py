"""Three tiny checkpoints of one model, and the settings of a sweep over them."""

from extract.settings import Settings
from tests.extract.tiny_folder import write_corpus, write_model
from warehouse.connection import connect, frame

STEPS = ("step0", "step4", "step16")


def write_training(folder):
    """`folder/models/stepN` and `folder/corpus`."""
    for seed, name in enumerate(STEPS):
        write_model(folder / "models" / name, seed)
    write_corpus(folder / "corpus")
    return folder


def asked(folder, lake, models=None):
    return Settings(
        lake=lake, model=str(models or folder / "models"), corpus=str(folder / "corpus"), context=32, tokens=200
    )


def checkpoints_of(lake):
    return frame(connect(lake), "select step, run, last_run from sweep_runs order by step").rows()
