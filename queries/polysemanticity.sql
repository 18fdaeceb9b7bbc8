-- What each neuron of every layer responds to: moments, types that hold its mass, its top contexts, parts by documents.
-- Source: From Tokens to Semantics, OpenReview Kyx1qoZHcO (neuron embeddings of top contexts).
-- Caveats: needs the pass over layers (rt extract --layers); the token of a context is the one that is read there.
-- Grain: one row per (run, layer, neuron).
with
-- per neuron its top contexts, largest first: their tokens, null where a condition on positions leaves them out, and
-- cosines of each with those before it, one after another
contexts as (
    select
        layer_contexts.run,
        layer_contexts.layer,
        layer_contexts.neuron,
        list(tokens.token_id order by layer_contexts.rank) as token_ids,
        flatten(list(layer_contexts.cosine order by layer_contexts.rank)) as cosines
    from layer_contexts
    left join tokens on layer_contexts.run = tokens.run and layer_contexts.token_index = tokens.token_index
    group by layer_contexts.run, layer_contexts.layer, layer_contexts.neuron
),

-- per neuron what its moments are made of in each part of the documents
parts as (
    select
        run,
        layer,
        neuron,
        list(n_positions::double order by part) as part_n,
        list(mean order by part) as part_mean,
        list(moment_2 order by part) as part_moment_2,
        list(moment_3 order by part) as part_moment_3,
        list(moment_4 order by part) as part_moment_4,
        list(sum_abs order by part) as part_sum_abs
    from layer_moments
    group by run, layer, neuron
)

select
    layer_neurons.run,
    layer_neurons.layer,
    layer_neurons.neuron,
    layer_neurons.n_types,
    layer_neurons.types_low,
    layer_neurons.types_high,
    contexts.token_ids,
    contexts.cosines,
    parts.part_n,
    parts.part_mean,
    parts.part_moment_2,
    parts.part_moment_3,
    parts.part_moment_4,
    parts.part_sum_abs
from layer_neurons
inner join parts
    on
        layer_neurons.run = parts.run
        and layer_neurons.layer = parts.layer
        and layer_neurons.neuron = parts.neuron
left join contexts
    on
        layer_neurons.run = contexts.run
        and layer_neurons.layer = contexts.layer
        and layer_neurons.neuron = contexts.neuron
order by run, layer, neuron;
