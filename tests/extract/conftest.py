"""A tiny model and corpus, the run that was extracted from them, lakes of it, and a tiny model that tests may alter."""

import shutil

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from extract.run import extract
from extract.settings import Settings
from tests.extract.tiny_folder import write_corpus, write_model
from tests.extract.tiny_runs import LAYERS, quiet, with_passes

WORDS = {"a": 0, "b": 1, "<unk>": 2}


def tokenizer():
    inner = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A random GPT-2 with its tokenizer, as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=8, n_head=2, vocab_size=11, n_positions=16)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return Settings(
        lake=folder / "lake",
        model=str(write_model(folder / "model")),
        corpus=str(write_corpus(folder / "corpus")),
        context=32,
        tokens=200,
    )


@pytest.fixture(scope="session")
def run(settings):
    return extract(settings, quiet)


@pytest.fixture
def lake(settings, run, tmp_path):
    """A lake of its own with the run, without a pass."""
    return shutil.copytree(settings.lake, tmp_path / "lake")


@pytest.fixture(scope="session")
def passed(settings, run, tmp_path_factory):
    """A lake whose run has the pass over both layers, 60 states, and the activations of layer 0."""
    return with_passes(settings, tmp_path_factory.mktemp("layers"), LAYERS)
