-- What each neuron of every layer responds to: moments, types that hold its mass, its top contexts, parts by documents.
-- Source: From Tokens to Semantics, OpenReview Kyx1qoZHcO (neuron embeddings of top contexts).
-- Caveats: needs the pass over layers (rt extract --layers); the token of a context is the one that is read there. Of a
-- part of the documents its strongest contexts are taken, 1 % of its positions, and in any case those with cosines.
-- Grain: one row per (run, layer, neuron).
with
-- how many contexts of each part are the top 1 % of its positions
parts_of_layers as (
    select
        run,
        layer,
        part,
        ceil(0.01 * max(n_positions)) as n_top
    from layer_moments
    group by run, layer, part
),

-- per neuron its top contexts, rank by rank and part by part: their tokens, null where a condition on positions leaves
-- them out, and cosines of each that is compared with those before it, one after another
contexts as (
    select
        layer_contexts.run,
        layer_contexts.layer,
        layer_contexts.neuron,
        list(layer_contexts.part order by layer_contexts.rank, layer_contexts.part) as context_parts,
        list(tokens.token_id order by layer_contexts.rank, layer_contexts.part) as token_ids,
        count(layer_contexts.cosine) as n_compared,
        -- a context that is not compared has no list, which adds nothing
        flatten(list(layer_contexts.cosine order by layer_contexts.rank, layer_contexts.part)) as cosines
    from layer_contexts
    inner join parts_of_layers
        on
            layer_contexts.run = parts_of_layers.run
            and layer_contexts.layer = parts_of_layers.layer
            and layer_contexts.part = parts_of_layers.part
    left join tokens on layer_contexts.run = tokens.run and layer_contexts.token_index = tokens.token_index
    where layer_contexts.cosine is not null or layer_contexts.rank < parts_of_layers.n_top
    group by layer_contexts.run, layer_contexts.layer, layer_contexts.neuron
),

-- per neuron what its moments are made of in each part of the documents
parts as (
    select
        run,
        layer,
        neuron,
        list(part order by part) as parts,
        list(n_positions::double order by part) as part_n,
        list(mean order by part) as part_mean,
        list(moment_2 order by part) as part_moment_2,
        list(moment_3 order by part) as part_moment_3,
        list(moment_4 order by part) as part_moment_4,
        list(sum_abs order by part) as part_sum_abs,
        list(types_without order by part) as types_without
    from layer_moments
    group by run, layer, neuron
),

-- what linear probes read better or worse with depth, in a direction that no walk explains: the other half of the
-- question whether layers disentangle
probes as (
    select
        run,
        -- null where no probe has a trend; NaN, an end that is not known, is above every number here
        case when bool_or(not isnan(trend)) then coalesce(string_agg(distinct task, ', ' order by task) filter (
            where trend_low > 0 and not isnan(trend_low) and q < 0.05
        ), '') end as probes_better,
        case when bool_or(not isnan(trend)) then coalesce(string_agg(distinct task, ', ' order by task) filter (
            where trend_high < 0 and q < 0.05
        ), '') end as probes_worse
    from decodability
    group by run
)

select
    layer_neurons.run,
    layer_neurons.layer,
    layer_neurons.neuron,
    layer_neurons.n_positions,
    layer_neurons.n_types,
    layer_neurons.types_low,
    layer_neurons.types_high,
    contexts.context_parts,
    contexts.token_ids,
    contexts.n_compared,
    contexts.cosines,
    parts.parts,
    parts.part_n,
    parts.part_mean,
    parts.part_moment_2,
    parts.part_moment_3,
    parts.part_moment_4,
    parts.part_sum_abs,
    parts.types_without,
    probes.probes_better,
    probes.probes_worse
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
left join probes on layer_neurons.run = probes.run
order by run, layer, neuron;
