"""A GGUF file as a model."""

import gguf
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from extract.models import load_model, resolve
from tests.extract.faults import fault


def test_a_folder_with_one_gguf_file_is_read_through_it(tmp_path):
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1, vocab_size=3,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(16)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(3)
    names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    parts = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    names |= {f"layers.0.{here}": f"blk.0.{there}" for here, there in parts.items()}
    for name, value in model.state_dict().items():
        place = name.removeprefix("model.").removesuffix(".weight")
        writer.add_tensor(f"{names[place]}.weight", value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    files = resolve(str(tmp_path))
    assert files.gguf == "tiny.gguf"
    assert files.weights == {"tiny.gguf": files.config_sha256}
    loaded = load_model(files)
    torch.testing.assert_close(loaded.model.layers[0].mlp.down_proj.weight, model.model.layers[0].mlp.down_proj.weight)
    assert resolve(str(tmp_path / "tiny.gguf")).weights == files.weights
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    assert fault(resolve, str(tmp_path)).hint == "name one: other.gguf, tiny.gguf"
    assert "cannot be loaded" in fault(load_model, resolve(str(tmp_path / "other.gguf"))).message
