-- The activations of all neurons at every position, beside the regime of each neuron: what dimension is computed from.
-- Source: Liu et al. (2025), arXiv 2505.12822, section 4 (coordination of plateau neurons).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out; the regimes are those of
-- the rare tokens, for either class.
-- Grain: one row per (run, token_index).
select
    positions.run,
    positions.token_index,
    positions.document,
    positions.token_class,
    positions.activation,
    neurons.neuron,
    neurons.regime,
    neurons.is_core,
    neurons.influence
from activation_rows(rare_quantile := $rare_quantile, rare_by := $rare_by) as positions
inner join (
    select
        run,
        list(neuron order by neuron) as neuron,
        list(regime order by neuron) as regime,
        list(is_core order by neuron) as is_core,
        list(influence order by neuron) as influence
    from plateau_stability
    where token_class = 'rare'
    group by run
) as neurons
    on positions.run = neurons.run
order by run, token_index;
