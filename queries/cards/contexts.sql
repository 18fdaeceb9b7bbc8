-- The positions of a run where chosen neurons are most active, and those where ablating them changes the loss most.
-- By the size of either; with the text around: `before`, the `token` that was read, the `target`, what comes `after`.
-- Caveats: the text comes from the tokens' own texts, so a character of several tokens shows as their raw strings.
-- Grain: one row per (neuron, chosen_by, rank).
with
pairs as (
    select
        neuron_tokens.neuron,
        neuron_tokens.token_index,
        neuron_tokens.activation,
        neuron_tokens.delta_loss,
        tokens.document,
        tokens."window",
        tokens.position,
        tokens.token_id,
        tokens.target_id,
        tokens.loss
    from neuron_tokens
    inner join tokens
        on same_position(neuron_tokens.run, neuron_tokens.token_index, tokens.run, tokens.token_index)
    where
        neuron_tokens.run = $run
        and tokens.run = $run
        and neuron_tokens.neuron in (select unnest($neurons))
),

-- each pair twice, by the size of the activation and by that of the change of the loss
ranked as (
    select
        *,
        'activation' as chosen_by,
        row_number() over (partition by neuron order by abs(activation) desc, token_index) as "rank"
    from pairs
    where activation is not null
    union all by name
    select
        *,
        'delta_loss' as chosen_by,
        row_number() over (partition by neuron order by abs(delta_loss) desc, token_index) as "rank"
    from pairs
    where delta_loss is not null
),

chosen as (
    select *
    from ranked
    where "rank" <= $n_contexts
),

-- a row per token of the window near the position
places as (
    select
        chosen.neuron,
        chosen.chosen_by,
        chosen."rank",
        chosen.position,
        windows.token_ids,
        unnest(range(
            greatest(0, chosen.position - $n_before),
            least(len(windows.token_ids), chosen.position + 2 + $n_after)
        )) as place
    from chosen
    inner join windows on chosen."window" = windows."window"
    where windows.run = $run
),

texts as (
    select
        token_id,
        coalesce(token, '[id:' || token_id || ']') as token
    from vocabulary
    where run = $run
),

around as (
    select
        places.neuron,
        places.chosen_by,
        places."rank",
        string_agg(texts.token, '' order by places.place) filter (places.place < places.position) as before,
        string_agg(texts.token, '' order by places.place) filter (places.place > places.position + 1) as after
    from places
    inner join texts on places.token_ids[places.place + 1] = texts.token_id
    group by places.neuron, places.chosen_by, places."rank"
)

select
    chosen.neuron,
    chosen.chosen_by,
    chosen."rank",
    chosen.activation,
    chosen.delta_loss,
    chosen.loss,
    chosen.document,
    documents.name,
    around.before,
    own.token,
    targets.token as target,
    around.after
from chosen
left join around
    on
        chosen.neuron = around.neuron
        and chosen.chosen_by = around.chosen_by
        and chosen."rank" = around."rank"
left join texts as own on chosen.token_id = own.token_id
left join texts as targets on chosen.target_id = targets.token_id
left join documents on chosen.document = documents.document and documents.run = $run
order by chosen.neuron, chosen.chosen_by, chosen."rank";
