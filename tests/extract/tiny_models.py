"""Tiny random models of every declared family, with every parameter drawn so that every part of the algebra counts."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

WIDTH, D_MLP, VOCABULARY, HEADS, LAYERS = 32, 48, 160, 4, 2

_LLAMA = {
    "hidden_size": WIDTH,
    "intermediate_size": D_MLP,
    "vocab_size": VOCABULARY,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
_GROUPED = {**_LLAMA, "num_key_value_heads": 2}

CONFIGS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=WIDTH,
        n_inner=D_MLP,
        n_layer=LAYERS,
        n_head=HEADS,
        n_positions=64,
        vocab_size=VOCABULARY,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "gpt_neox_parallel": lambda: transformers.GPTNeoXConfig(**_LLAMA, use_parallel_residual=True),
    "gpt_neox_sequential": lambda: transformers.GPTNeoXConfig(**_LLAMA, use_parallel_residual=False),
    "llama": lambda: transformers.LlamaConfig(**_GROUPED),
    "llama_tied": lambda: transformers.LlamaConfig(**_GROUPED, tie_word_embeddings=True, mlp_bias=True),
    "mistral": lambda: transformers.MistralConfig(**_GROUPED, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**_GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**_GROUPED, head_dim=8),
    "phi": lambda: transformers.PhiConfig(**_LLAMA, partial_rotary_factor=0.5),
    "opt": lambda: transformers.OPTConfig(
        hidden_size=WIDTH,
        word_embed_proj_dim=WIDTH,
        ffn_dim=D_MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        activation_function="relu",
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    ),
}


def tiny_model(
    name: str,
    seed: int = 0,
    spread: float = 0.25,
    dtype: torch.dtype = torch.float32,
    vocabulary: int = VOCABULARY,
) -> Any:
    """The model `name` of CONFIGS in evaluation mode: weights N(0, spread), norm gains around 1, biases not zero."""
    config = CONFIGS[name]()
    config.vocab_size = vocabulary
    return randomised(transformers.AutoModelForCausalLM.from_config(config), seed, spread).to(dtype)


def randomised(model: Any, seed: int = 0, spread: float = 0.25) -> Any:
    """`model` with every parameter drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for path, parameter in sorted(model.named_parameters()):
            centre = 1.0 if parameter.ndim == 1 and path.endswith("weight") else 0.0
            parameter.copy_(centre + spread * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def tokens(shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    """Random token ids."""
    return torch.randint(3, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))
