-- How far ablating each attention head moves every neuron of the last MLP, by document and class: sums over positions.
-- What is known of the neurons (sd, core of the plateau, in their order) and the heads without a path stand in
-- one row of a run, and are null in the others.
-- Source: Liu et al., arXiv 2509.21163 and 2509.04479: attention routing to rare-token neurons.
-- Caveats: there if the run was extracted with --heads; sums are of whole documents, so `n_chosen` says how many of
-- their `n_positions` the parameters and conditions leave; the plateau is that of the rare tokens, and comes from
-- positions where no head was ablated: neurons that were chosen at a position would move more there.
-- Grain: one row per (run, ablation, layer, head, token_class, document).
with
-- sampled positions that are chosen, and still of the class that they were sampled as
chosen as (
    select
        head_positions.run,
        head_positions.document,
        head_positions.stratum,
        count(*) as n_chosen
    from head_positions
    inner join token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as classes
        on
            head_positions.run = classes.run
            and head_positions.token_index = classes.token_index
            and head_positions.stratum = classes.token_class
    group by head_positions.run, head_positions.document, head_positions.stratum
),

-- rare positions where no head was ablated: the plateau is read off these
elsewhere as (
    select
        classes.run,
        classes.token_index,
        classes.document
    from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as classes
    anti join head_positions
        on
            classes.run = head_positions.run
            and classes.token_index = head_positions.token_index
    where classes.token_class = 'rare'
),

influences as (
    select
        elsewhere.run,
        elsewhere.document,
        ablations.neuron,
        count(*)::double as n_positions,
        sum(abs(ablations.delta_loss::double)) as sum_abs_delta
    from ablations
    inner join elsewhere
        on same_position(ablations.run, ablations.token_index, elsewhere.run, elsewhere.token_index)
    group by elsewhere.run, elsewhere.document, ablations.neuron
),

-- one row of lists per run: sums of every document one after another, each in the order of the neurons
plateaus as (
    select
        run,
        list(n_positions order by document, neuron) as elsewhere_n,
        list(sum_abs_delta order by document, neuron) as elsewhere_influence
    from influences
    group by run
),

-- one row of lists per run, in the order of the neurons
known as (
    select
        neurons.run,
        list(neurons.sd_activation order by neurons.neuron) as sd_activation
    from neurons
    group by neurons.run
),

without_path as (
    select
        run,
        list(layer order by layer, head) as layers,
        list(head order by layer, head) as heads,
        any_value(reason) as reason
    from attention_heads
    where not has_path
    group by run
),

-- where the lists of a run go
firsts as (
    select
        run,
        min(row(ablation, layer, head, document, stratum)) as place
    from head_neurons
    group by run
)

select
    head_neurons.run,
    head_neurons.ablation,
    head_neurons.layer,
    head_neurons.head,
    head_neurons.stratum as token_class,
    head_neurons.document,
    head_neurons.n as n_positions,
    coalesce(chosen.n_chosen, 0) as n_chosen,
    head_neurons.sum_abs_change,
    known.sd_activation,
    plateaus.elsewhere_n,
    plateaus.elsewhere_influence,
    head_balance.input_gap,
    head_balance.position_gap,
    without_path.layers as layers_without_path,
    without_path.heads as heads_without_path,
    without_path.reason as no_path_reason
from head_neurons
left join chosen
    on
        head_neurons.run = chosen.run
        and head_neurons.document = chosen.document
        and head_neurons.stratum = chosen.stratum
left join firsts
    on
        head_neurons.run = firsts.run
        and head_neurons.ablation = firsts.place[1]
        and head_neurons.layer = firsts.place[2]
        and head_neurons.head = firsts.place[3]
        and head_neurons.document = firsts.place[4]
        and head_neurons.stratum = firsts.place[5]
left join known on firsts.run = known.run
left join plateaus on firsts.run = plateaus.run
left join head_balance on firsts.run = head_balance.run
left join without_path on firsts.run = without_path.run
order by run, ablation, layer, head, token_class, document;
