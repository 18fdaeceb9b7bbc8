"""A tiny random GPT-2 with a tokenizer of its own, and a corpus for it, as files: what a user would bring."""

from pathlib import Path

import tokenizers
import transformers

from tests.extract.tiny_models import randomised

WORDS = (
    "the", "whale", "sea", "ship", "white", "captain", "old", "man", "harpoon", "sail", "wind", "storm", "night",
    "day", "crew", "boat", "deep", "water",
)  # fmt: skip


def corpus_text(document: int) -> str:
    """About 300 words, another order in every document."""
    return " ".join(WORDS[(i * (document + 3) + i // 7) % len(WORDS)] for i in range(300)) + "."


def write_corpus(folder: Path, documents: int = 5) -> Path:
    """A folder of text files, one document each."""
    folder.mkdir(parents=True, exist_ok=True)
    for document in range(documents):
        (folder / f"{document}.txt").write_text(corpus_text(document), encoding="utf-8")
    return folder


def write_parallel_model(folder: Path, seed: int = 0) -> Path:
    """A GPT-NeoX of the same sizes and tokenizer as `write_model`, with parallel residuals."""
    write_model(folder, seed)
    config = transformers.GPTNeoXConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=300,
        max_position_embeddings=64, use_parallel_residual=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    randomised(transformers.GPTNeoXForCausalLM(config), seed).save_pretrained(folder)
    return folder


def write_model(folder: Path, seed: int = 0) -> Path:
    """A GPT-2 of 2 layers, d_model 16, d_mlp 24, at most 64 positions, with a byte-level BPE tokenizer."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([corpus_text(i) for i in range(5)], vocab_size=300, special_tokens=["<bos>"])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, bos_token="<bos>")
    config = transformers.GPT2Config(
        n_embd=16,
        n_inner=24,
        n_layer=2,
        n_head=2,
        n_positions=64,
        vocab_size=300,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.bos_token_id,
    )
    model = randomised(transformers.GPT2LMHeadModel(config), seed)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
