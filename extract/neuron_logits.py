"""Which tokens a neuron writes for and against: its row of W_out through the final norm's gain and the unembedding.

The unembedding itself is not stored: in a small model it outweighs all other weights. What people ask of it are the
ends of each neuron's list of tokens.
"""

import numpy as np
import pyarrow as pa
import torch

from extract.families import LastLayer
from extract.vocabulary import Vocabulary, blocks, centre

N_TOKENS = 20  # kept at either end
# Effects, of neurons times tokens, that are held at a time: 64 MB.
ELEMENTS = 1 << 24


def neuron_logits(last: LastLayer) -> pa.Table:
    """The table `neuron_logits`: per neuron the tokens with the largest effects and those with the smallest.

    `effect` is w_i C (U_v - mean_v U_v) * gain: what one unit of activation adds to the logit of v at scale 1, over the
    mean token's. A softmax sees nothing else. Of tokens with one and the same effect at the cut, any is kept.
    """
    vocabulary = Vocabulary(last, None, None, keep=False)
    written = centre(last, last.w_out.double()).float()
    kept = min(N_TOKENS, last.n_vocabulary)
    found = []
    for part in blocks(last.d_mlp, max(1, ELEMENTS // last.n_vocabulary)):
        effect = written.new_empty(part.stop - part.start, last.n_vocabulary)
        for each in vocabulary.parts():
            torch.matmul(written[part], vocabulary.rows(each).T, out=effect[:, each])
        ends = [effect.topk(kept, largest=largest) for largest in (True, False)]
        found.append([torch.stack([end.indices.double(), end.values.double()]).cpu().numpy() for end in ends])
    token, value = np.concatenate([np.stack(pair, axis=2) for pair in found], axis=1)  # (N, 2, kept) each
    n = last.d_mlp
    return pa.table(
        {
            "layer": np.full(token.size, last.layer, dtype=np.int32),
            "neuron": np.repeat(np.arange(n, dtype=np.int32), 2 * kept),
            "direction": np.tile(np.repeat(["promoted", "suppressed"], kept), n).tolist(),
            "rank": np.tile(np.arange(kept, dtype=np.int32), 2 * n),
            "token_id": token.astype(np.int32).ravel(),
            "effect": value.astype(np.float32).ravel(),
        }
    )
