-- The positions at which ablation deltas are compared, with their class: what labels of tokens are permuted over.
-- Source: Liu et al. (2025), arXiv 2509.21163 and 2509.04479 (rare against common tokens).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out. The deltas are read
-- beside, run by run: columns token_index, neuron and delta_loss of `ablations`. Their matrix (positions, neurons) is
-- read whole, as float32, because labels can only be permuted where the positions are.
-- Grain: one row per (run, token_index).
select
    run,
    token_index,
    document,
    token_class
from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by)
order by run, token_index;
