-- The positions whose activations are compared, and the regime of each neuron: what correlation is computed on.
-- Source: Liu et al. (2025), arXiv 2505.12822, section 4, and arXiv 2509.21163 (coordination of plateau neurons).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out; the regimes are those of
-- the rare tokens, for either class; what is known of the neurons is null but at the first position of a run.
-- The activations themselves are read beside, run by run: columns token_index, neuron and activation of `activations`.
-- Grain: one row per (run, token_index).
select *
from grouped_positions(rare_quantile := $rare_quantile, rare_by := $rare_by)
order by run, token_index;
