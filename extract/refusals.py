"""Why a model is refused: what in it breaks the closed form of mean ablation, told from its config alone."""

from typing import Any

_POST_NORM = "a norm follows the MLP before its output is added, so a neuron's contribution is not linear"
_EXPERTS = "it is a mixture of experts: a router decides which neurons run"
_SCALED = "multipliers scale the residual branches and the logits"
_BIDIRECTIONAL = "it is not a causal language model: it predicts no next token"
_TYPES: dict[str, str] = {
    "gemma": "its norm multiplies by (1 + gain)",
    "gemma2": f"{_POST_NORM}; its logits are soft-capped and its norm multiplies by (1 + gain)",
    "gemma3_text": f"{_POST_NORM}; its norm multiplies by (1 + gain)",
    "gemma3": f"{_POST_NORM}; its norm multiplies by (1 + gain)",
    "olmo": "its norms have no gain and are not declared yet",
    **dict.fromkeys(("olmo2", "olmo3", "glm4", "exaone4"), _POST_NORM),
    **dict.fromkeys(("granite", "granitemoe", "granitemoeshared", "granitemoehybrid"), _SCALED),
    **dict.fromkeys(("cohere", "cohere2"), "its logits are multiplied by logit_scale"),
    **dict.fromkeys(
        ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "phimoe", "gpt_oss", "dbrx", "deepseek_v2", "deepseek_v3"),
        _EXPERTS,
    ),
    **dict.fromkeys(
        (
            "bert",
            "roberta",
            "xlm-roberta",
            "distilbert",
            "albert",
            "electra",
            "deberta",
            "deberta-v2",
            "modernbert",
            "esm",
        ),
        _BIDIRECTIONAL,
    ),
    **dict.fromkeys(("mamba", "mamba2", "rwkv"), "it has no MLP in its last layer"),
}
# Config fields that change the algebra, whatever the type: the values that mean "nothing is changed", and the reason.
_FIELDS: dict[str, tuple[tuple[Any, ...], str]] = {
    "final_logit_softcapping": ((None,), "its logits are soft-capped"),
    "logit_scale": ((None, 1), "its logits are multiplied by logit_scale"),
    "logits_scaling": ((None, 1), "its logits are divided by logits_scaling"),
    "lm_head_multiplier": ((None, 1), "its logits are multiplied by lm_head_multiplier"),
    "residual_multiplier": ((None, 1), "its residual branches are multiplied by residual_multiplier"),
    "num_local_experts": ((None, 0, 1), _EXPERTS),
    "num_experts": ((None, 0, 1), _EXPERTS),
    "n_routed_experts": ((None, 0, 1), _EXPERTS),
    "is_encoder_decoder": ((None, False), _BIDIRECTIONAL),
    "use_bidirectional_attention": ((None, False), _BIDIRECTIONAL),
    "add_cross_attention": ((None, False), "it attends to an encoder"),
    "do_layer_norm_before": ((None, True), f"it is post-norm (as OPT-350m): {_POST_NORM}"),
    "_remove_final_layer_norm": ((None, False), "it has no final norm"),
}


def refusal(config: Any) -> str | None:
    """What in a transformers config breaks the closed form, in words; None where nothing known does."""
    reason = _TYPES.get(str(getattr(config, "model_type", None)))
    if reason is not None:
        return reason
    for field, (neutral, why) in _FIELDS.items():
        value = getattr(config, field, None)
        if value not in neutral:
            return f"{why} ({field} = {value})"
    width, embedded = getattr(config, "hidden_size", None), getattr(config, "word_embed_proj_dim", None)
    if embedded is not None and embedded != width:
        return f"a projection from {width} to {embedded} dimensions stands before the unembedding (project_out)"
    return None
