-- The weights of every neuron, side by side with its regime: what spectra of groups of neurons are computed from.
-- Source: Liu et al. (2025), arXiv 2505.12822, section 5 (heavy-tailed weight spectra of neuron groups).
-- Caveats: the regimes are those of the rare tokens; neurons without weights are left out.
-- Grain: one row per (run, neuron, side).
select
    weights.run,
    weights.neuron,
    weights.side,
    weights.weight,
    neurons.regime,
    neurons.is_core,
    neurons.influence
from weights
inner join plateau_stability as neurons
    on
        weights.run = neurons.run
        and weights.neuron = neurons.neuron
where neurons.token_class = 'rare'
order by run, neuron, side;
