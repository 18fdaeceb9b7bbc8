"""How the cost grows with tokens, neurons and vocabulary.

Processor time of the ablation engine, without the forward pass. Tokens: the default model, the engine prepared, as it
is for all but the first of a run's shards. Neurons and vocabulary: Llama models of width 256 with random weights, 512
positions, where one of both varies, preparation included. The slope is that of a straight line through the logarithms:
1 is linear, less says that part of the work is done once. With 131,072 tokens the effects of the 1,024 neurons no
longer fit into `--memory`, and the positions are two blocks: the effects are computed twice.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor

from extract.ablation import Ablation
from extract.families import LastLayer, capture, describe
from extract.session import Session, gather, stack
from extract.settings import Settings
from scripts.bench.results import Result, Table
from scripts.bench.timing import in_turns, spread

WIDTH, POSITIONS, CONTEXT = 256, 512, 256
Work = tuple[LastLayer, Tensor, Tensor, Tensor]  # last layer, residuals (T, d), activations (T, N), targets (T,)


def slope(points: list[list[float]]) -> float:
    """Exponent of the power law through points (x, y).

    >>> round(slope([[1, 3], [2, 6], [4, 12]]), 6)
    1.0
    """
    x, y = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(x, y, 1)[0])


def engine(work: Work) -> Ablation:
    """The engine for a piece of work."""
    last, residual, activation, _ = work
    return Ablation(last, activation.double().mean(0), sample=residual[:: max(1, len(residual) // 256)])


def run(work: Work) -> None:
    """The engine, made and run."""
    engine(work).delta(*work[1:])


def _captured(model: object, last: LastLayer, ids: Tensor) -> Work:
    parts = [capture(model, last, batch) for batch in ids.split(4)]
    residual, activation = (torch.cat(each)[:, :-1].flatten(0, 1) for each in zip(*parts, strict=True))
    return last, residual, activation, ids[:, 1:].flatten()


def random_model(n_neurons: int, n_vocabulary: int) -> Work:
    """A Llama model with random weights, its unembedding large enough to make predictions that are not uniform."""
    config = transformers.LlamaConfig(
        hidden_size=WIDTH, intermediate_size=n_neurons, vocab_size=n_vocabulary, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=CONTEXT,
    )  # fmt: skip
    torch.manual_seed(0)  # transformers draws its weights from the global generator
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight *= 10
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, n_vocabulary, (POSITIONS // CONTEXT, CONTEXT), generator=generator)
    return _captured(model, describe(model), ids)


def measure(full: bool) -> Result:
    """Points and slopes of the three series."""
    repeats = 3 if full else 1
    counts = [512, 1024, 2048, 4096, 8192] if full else [512, 1024, 2048]
    session = Session(gather(Settings(lake=Path("unused"), tokens=counts[-1]), print))
    last, *arrays = _captured(session.model, session.last, stack(session.plan().windows)[: -(-counts[-1] // 255)])
    neurons = [512, 1024, 2048, 4096, 8192] if full else [512, 1024, 2048]
    vocabularies = [16_384, 32_768, 65_536, 131_072] if full else [8_192, 16_384, 32_768]
    prepared = engine((last, *arrays))
    prepared.delta(*(each[:8] for each in arrays))
    series: dict[str, dict[int, Callable[[], object]]] = {
        "tokens": {n: partial(prepared.delta, *(each[:n] for each in arrays)) for n in counts},
        "neurons": {n: partial(run, random_model(n, 16_384)) for n in neurons},
        "vocabulary": {n: partial(run, random_model(1_024, n)) for n in vocabularies},
    }
    table = Table("Processor seconds of the engine", ["", "size", "median", "least", "most", "times the size before"])
    result = Result([table])
    for name, works in series.items():
        turns = in_turns({str(n): work for n, work in works.items()}, repeats)
        times = {n: spread([turn.processor for turn in turns[str(n)]]) for n in works}
        steps = [None, *(times[big][0] / times[small][0] for small, big in pairwise(works))]
        table.rows += [[name, n, *times[n], step] for n, step in zip(works, steps, strict=True)]
        result.points[name] = {"rt": [[n, times[n][0]] for n in works]}
        result.notes.append(f"Cost against {name}: slope {slope(result.points[name]['rt']):.2f}.")
    return result
