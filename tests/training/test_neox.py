import json

from transformers import AutoModelForCausalLM, AutoTokenizer

from extract.run import extract
from extract.settings import Settings
from tests.extract.tiny_folder import write_corpus
from training.folder import NAME
from training.sae_pass import SaePass, train_sae
from training.sparse_autoencoder import Training
from warehouse.lake import open_lake


def test_checkpoints_are_ordinary_models_at_powers_of_two(trained):
    folder = trained("neox")
    assert sorted(path.name for path in folder.iterdir()) == ["step0", "step1", "step2", "step4", NAME]
    model = AutoModelForCausalLM.from_pretrained(folder / "step4")
    assert model.config.use_parallel_residual
    assert len(AutoTokenizer.from_pretrained(folder / "step4")) == model.config.vocab_size == 300


def test_the_held_out_loss_begins_at_chance_and_falls(trained):
    record = json.loads((trained("neox") / NAME).read_text())
    losses = {each["step"]: each["test_loss"] for each in record["checkpoints"]}
    assert list(losses) == [0, 1, 2, 4]
    assert abs(losses[0] - 5.70) < 0.05  # ln 300
    assert losses[4] < losses[0]
    assert record["settings"]["context"] == 32


def test_a_checkpoint_is_extracted_as_a_revision_and_its_residuals_are_learnt_from(trained, tmp_path):
    settings = Settings(
        tmp_path / "lake", str(trained("neox")), "step2", str(write_corpus(tmp_path / "texts")), tokens=60, context=16
    )
    run = extract(settings, lambda _: None)
    sae = SaePass(of="residuals", training=Training(atoms=6, k=2, steps=4, batch=16))
    train_sae(tmp_path / "lake", run, sae, lambda _: None)
    (found,) = open_lake(tmp_path / "lake").runs
    assert found.name == run
    assert found.passes["sae"]["input"] == {"positions": 60, "dimensions": 16}
