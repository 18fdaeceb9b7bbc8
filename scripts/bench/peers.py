"""The ablation of neurons beside the ways that people use.

The same model, tokens, neurons and means for all. TransformerLens runs its last layer and the unembedding once per
neuron, with a hook that sets the neuron to its mean; nnsight traces the whole model once per neuron; the residual way
is the algorithm of published research code in our own words: take the neuron's share out of the cached residual, then
final norm, unembedding and loss, once per neuron. Each is timed on a few neurons; all neurons are that many times as
much, as nothing is shared between neurons (the column for twice as many neurons shows it). rt does all neurons at once,
and its time holds its own forward pass. The error is against recomputation in float64 at some of the positions.

TransformerLens's loader knows its own list of models only, so its `HookedTransformer` is made from the Llama model's
configuration and its own conversion of the weights; its newer `TransformerBridge` takes the model as it is, but cannot
begin at a layer, so each neuron would cost a whole forward pass, as with nnsight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extract.ablation import Ablation
from extract.families import capture
from extract.reference import reference_delta
from extract.session import Session, gather, stack
from extract.settings import Settings
from scripts.bench.results import Result, Table
from scripts.bench.timing import Turn, in_turns, ratio, spread

BATCH = 4  # windows at a time
# Peers subtract two float32 losses, so they cannot be held to rt's own tolerance.
ABSOLUTE, RELATIVE = 2e-4, 1e-3

Deltas = Callable[[Sequence[int]], Tensor]  # neurons -> (T, n) nats


@dataclass(frozen=True)
class Task:
    """A model and what all ways get: windows `ids` (S, C), residuals (T, d), activations (T, N), means (N,)."""

    session: Session
    ids: Tensor
    residual: Tensor
    activation: Tensor
    mean: Tensor

    @classmethod
    def make(cls, n_windows: int) -> "Task":
        """The first windows of the default model and corpus; every position but the last of a window is analysed."""
        session = Session(gather(Settings(lake=Path("unused"), tokens=253 * n_windows), print))
        ids = stack(session.plan().windows)[:n_windows]
        residual, activation = _captured(session, ids)
        return cls(session, ids, residual, activation, activation.double().mean(0))

    @property
    def target(self) -> Tensor:
        """Token ids (T,)."""
        return self.ids[:, 1:].flatten()

    def loss(self, logits: Tensor) -> Tensor:
        """Losses (T,) from the logits (S, C, V) of all windows."""
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), self.target, reduction="none")


def _captured(session: Session, ids: Tensor) -> tuple[Tensor, Tensor]:
    parts = [capture(session.model, session.last, batch) for batch in ids.split(BATCH)]
    residual, activation = (torch.cat(each)[:, :-1].flatten(0, 1) for each in zip(*parts, strict=True))
    return residual, activation


def all_neurons(task: Task) -> Tensor:
    """rt: forward pass and every delta (T, N)."""
    residual, activation = _captured(task.session, task.ids)
    return Ablation(task.session.last, task.mean, sample=residual[::8]).delta(residual, activation, task.target)


def residual_way(task: Task) -> Deltas:
    """Research code's algorithm: the residual without the neuron's share, normed and unembedded again."""
    norm = task.session.model.get_submodule(task.session.last.parts.norm)
    head, w_out = task.session.model.get_output_embeddings(), task.session.last.w_out

    def losses(residual: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(head(norm(residual)), task.target, reduction="none")

    with torch.no_grad():
        clean = losses(task.residual)

    @torch.no_grad()
    def deltas(neurons: Sequence[int]) -> Tensor:
        share = (task.activation.double() - task.mean).float()
        return torch.stack([losses(task.residual - share[:, i, None] * w_out[i]) - clean for i in neurons], 1)

    return deltas


def transformer_lens_way(task: Task) -> Deltas:
    """TransformerLens: a hook per neuron, from the input of the last layer on."""
    last, model = task.session.last.layer, _hooked_transformer(task.session.model)
    before = f"blocks.{last}.hook_resid_pre"
    with torch.no_grad():
        logits, cache = model.run_with_cache(task.ids, names_filter=before)
        clean = task.loss(logits)

    @torch.no_grad()
    def deltas(neurons: Sequence[int]) -> Tensor:
        found = []
        for i in neurons:

            def set_to_mean(value: Tensor, hook: Any, i: int = i) -> Tensor:
                value[..., i] = task.mean[i].float()
                return value

            hooks = [(f"blocks.{last}.mlp.hook_post", set_to_mean)]
            ablated = model.run_with_hooks(cache[before], start_at_layer=last, fwd_hooks=hooks)
            found.append(task.loss(ablated) - clean)
        return torch.stack(found, 1)

    return deltas


def _hooked_transformer(model: Any) -> Any:
    """The Llama model as TransformerLens runs it; its loader takes only names that it knows, so it is told the rest."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_llama_weights

    config = model.config
    width = config.hidden_size // config.num_attention_heads
    grouped = config.num_key_value_heads != config.num_attention_heads
    told = HookedTransformerConfig(
        n_layers=config.num_hidden_layers, d_model=config.hidden_size, n_ctx=512, d_head=width,
        n_heads=config.num_attention_heads, d_mlp=config.intermediate_size, d_vocab=config.vocab_size,
        act_fn=config.hidden_act, eps=config.rms_norm_eps, normalization_type="RMS", final_rms=True, gated_mlp=True,
        n_key_value_heads=config.num_key_value_heads if grouped else None, positional_embedding_type="rotary",
        rotary_adjacent_pairs=False, rotary_dim=width, rotary_base=config.rope_parameters["rope_theta"],
        original_architecture="LlamaForCausalLM", device="cpu",
    )  # fmt: skip
    hooked = HookedTransformer(told)
    weights = convert_llama_weights(model, told)
    hooked.load_and_process_state_dict(
        weights, fold_ln=False, center_writing_weights=False, center_unembed=False, fold_value_biases=False
    )
    return hooked.eval()


def nnsight_way(task: Task) -> Deltas:
    """nnsight: one trace of the model per neuron, which writes into the input of the down projection."""
    from nnsight import NNsight

    model, ids, mean = NNsight(task.session.model), task.ids, task.mean.float()
    with torch.no_grad():
        clean = task.loss(task.session.model(ids, use_cache=False).logits)

    @torch.no_grad()
    def deltas(neurons: Sequence[int]) -> Tensor:
        found = []
        for i in neurons:
            with model.trace(ids, use_cache=False):
                value = model.model.layers[-1].mlp.down_proj.input.clone()
                value[..., i] = mean[i]
                model.model.layers[-1].mlp.down_proj.input = value
                logits = model.lm_head.output.save()
            found.append(task.loss(logits) - clean)
        return torch.stack(found, 1)

    return deltas


def compare(task: Task, ways: dict[str, Deltas], neurons: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Of each way the largest difference from rt and the largest error against float64, nats; stops if they differ."""
    ours, some = all_neurons(task).double(), slice(None, None, 16)
    arguments = (task.residual[some], task.activation[some], task.mean, task.target[some])
    truth = reference_delta(task.session.last, *arguments, neurons=neurons)
    found = {"rt": (0.0, float((ours[some][:, neurons] - truth).abs().max()))}
    for name, way in ways.items():
        theirs = way(neurons).double()
        gap = (theirs - ours[:, neurons]).abs()
        if not (gap <= ABSOLUTE + RELATIVE * ours[:, neurons].abs()).all():
            raise SystemExit(f"{name} and rt differ by up to {float(gap.max()):.2g} nats")
        found[name] = (float(gap.max()), float((theirs[some] - truth).abs().max()))
    return found


def measure(full: bool) -> Result:
    """Answers first, then times in turns."""
    task = Task.make(4 if full else 2)
    some = 4 if full else 2
    neurons = torch.randperm(task.session.last.d_mlp, generator=torch.Generator().manual_seed(0))[: 2 * some].tolist()
    ways = {
        "TransformerLens, last layer, a hook per neuron": transformer_lens_way(task),
        "nnsight, a trace per neuron": nnsight_way(task),
        "residual way of research code": residual_way(task),
    }
    errors = compare(task, ways, neurons)
    work: dict[str, Callable[[], object]] = {
        "forward": lambda: _forward(task),
        "rt": lambda: all_neurons(task),
    }
    for name, way in ways.items():
        work[f"{name}/1"] = lambda way=way: way(neurons[:some])
        work[f"{name}/2"] = lambda way=way: way(neurons)
    turns = in_turns(work, 3 if full else 1)
    return Result([_table(task, turns, errors, some)], _notes(task, errors))


def _forward(task: Task) -> None:
    with torch.no_grad():
        for batch in task.ids.split(BATCH):
            task.session.model(input_ids=batch, use_cache=False)


def _table(task: Task, turns: dict[str, list[Turn]], errors: dict[str, tuple[float, float]], some: int) -> Table:
    n = task.session.last.d_mlp
    scaled = f"the peers' times are those of {2 * some} neurons, times {n} / {2 * some}"
    columns = ["", "s, median", "least", "most", "in forward passes", "times rt", "2n neurons / n", "worst error, nats"]
    table = Table(f"{task.ids.numel():,} tokens, all {n:,} neurons; {scaled}", columns)
    plain, rt = turns["forward"], turns["rt"]
    table.rows.append(["plain forward pass with logits", *spread([turn.wall for turn in plain]), 1.0, None, None, None])
    for name, (_, error) in errors.items():
        label, mine, scale, twice = "**rt, forward pass and all deltas**", rt, 1.0, None
        if name != "rt":
            label, mine, scale = name, turns[f"{name}/2"], n / (2 * some)
            twice = ratio(mine, turns[f"{name}/1"])
        times = spread([scale * turn.wall for turn in mine])
        table.rows.append([label, *times, scale * ratio(mine, plain), scale * ratio(mine, rt), twice, error])
    return table


def _notes(task: Task, errors: dict[str, tuple[float, float]]) -> list[str]:
    gap = max(difference for difference, _ in errors.values())
    return [
        f"Answers were compared at all {len(task.target):,} positions of the sampled neurons: the largest difference "
        f"of a peer from rt is {gap:.2g} nats (allowed: {ABSOLUTE:g} + {RELATIVE:g} |delta|, as peers subtract two "
        f"float32 losses; rt's own error is at most {errors['rt'][1]:.2g} nats where it was recomputed in float64)."
    ]
