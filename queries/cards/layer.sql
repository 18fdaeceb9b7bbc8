-- What the pass over layers says of chosen neurons of the run's layer: kurtosis, and the types that hold their mass.
-- Caveats: of all positions of the run, whatever was chosen; the share of a type is at least what is shown.
-- Grain: one row per (neuron).
with
types as (
    select
        layer_types.neuron,
        layer_types.layer,
        list(coalesce(vocabulary.token, '[id:' || layer_types.token_id || ']') order by layer_types."rank") as types,
        list(layer_types.mass order by layer_types."rank") as masses
    from layer_types
    left join vocabulary
        on layer_types.run = vocabulary.run and layer_types.token_id = vocabulary.token_id
    where layer_types.run = $run and layer_types."rank" < $n_types
    group by layer_types.neuron, layer_types.layer
)

select
    layer_neurons.neuron,
    layer_neurons.n_positions,
    layer_neurons.mean,
    sqrt(layer_neurons.moment_2) as sd,
    layer_neurons.moment_4 / nullif(layer_neurons.moment_2 * layer_neurons.moment_2, 0) as kurtosis,
    layer_neurons.n_types,
    layer_neurons.types_low,
    layer_neurons.types_high,
    types.types,
    list_transform(types.masses, lambda mass: mass / nullif(layer_neurons.sum_abs, 0)) as shares
from layer_neurons
left join types on layer_neurons.neuron = types.neuron and layer_neurons.layer = types.layer
where
    layer_neurons.run = $run
    and layer_neurons.layer = $layer
    and layer_neurons.neuron in (select unnest($neurons))
order by layer_neurons.neuron;
