-- Influence, plateau membership and output weights of every neuron: is influence alike among neurons that write alike?
-- Source: Liu et al. (2025), arXiv 2505.12822, section 4 (spatial organisation of plateau neurons).
-- Caveats: a run without output weights has a null there.
-- Grain: one row per (run, token_class, neuron).
select
    plateau_stability.run as run,
    plateau_stability.token_class as token_class,
    plateau_stability.neuron as neuron,
    plateau_stability.influence,
    coalesce(plateau_stability.regime = 'plateau' and plateau_stability.is_core, false) as is_plateau,
    coalesce(gated_runs.is_gated, false) as is_gated,
    directions.weight
from plateau_stability
left join gated_runs on plateau_stability.run = gated_runs.run
left join weights as directions
    on
        plateau_stability.run = directions.run
        and plateau_stability.neuron = directions.neuron
        and directions.side = 'out'
where plateau_stability.token_class in ('common', 'rare')
order by run, token_class, neuron;
