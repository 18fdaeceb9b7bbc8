-- What every checkpoint of a sweep did with the same text: per-document sums, and the leading neurons.
-- Of each step and class: `influence`, by document, sums of |delta| of every neuron, in their order; `loss`, by
-- document, the sum of the losses; `activation`, by document, the activations of the leading neurons: the 32 that are
-- most influential at the last step (at most a quarter of all), position after position; `in`, `gate` and `out`, their
-- weights, from the most influential on, then those of two groups as large of other neurons; `verdict`, of the last
-- step alone, 1 where `regimes` supports a plateau beyond smooth laws, -1 where it contradicts it, else 0.
-- Source: Liu et al. (2025), arXiv 2505.12822, section 3, along the checkpoints of a training.
-- Caveats: the leading neurons are those of the last step, of each class, followed back through the training.
-- Grain: one row per (run, token_class, step, part, item).
with
sums as materialized (
    select
        sweep_runs.last_run,
        sweep_runs.step,
        sweep_runs.run,
        found.token_class,
        found.document,
        found.neuron,
        found.n_positions,
        found.sum_abs_delta
    from document_influence(rare_quantile := $rare_quantile, rare_by := $rare_by) as found
    inner join sweep_runs on found.run = sweep_runs.run
),

ranked as (
    select
        last_run,
        token_class,
        neuron,
        row_number() over (
            partition by last_run, token_class
            order by sum(sum_abs_delta) desc, neuron
        ) as place,
        least(32, count(*) over (partition by last_run, token_class) // 4) as size
    from sums
    where run = last_run
    group by last_run, token_class, neuron
),

-- the leading neurons, then others in an order that means nothing
leaders as (
    select
        last_run,
        token_class,
        neuron,
        row_number() over (
            partition by last_run, token_class
            order by place > size, case when place <= size then place end, hash(neuron), neuron
        ) as place,
        size
    from ranked
    qualify place <= 3 * size
),

-- the same ones at every step
chosen as (
    select
        leaders.last_run,
        sweep_runs.step,
        sweep_runs.run,
        leaders.token_class,
        leaders.neuron,
        leaders.place,
        leaders.size
    from leaders
    inner join sweep_runs on leaders.last_run = sweep_runs.last_run
),

classes as materialized (
    select
        found.run,
        found.token_index,
        found.document,
        found.token_class,
        tokens.loss
    from token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as found
    inner join tokens on same_position(found.run, found.token_index, tokens.run, tokens.token_index)
)

select
    last_run as run,
    token_class,
    step,
    'influence' as part,
    document as item,
    max(n_positions) as n_positions,
    list(sum_abs_delta::float order by neuron) as value
from sums
group by last_run, token_class, step, document
union all
select
    sweep_runs.last_run,
    classes.token_class,
    sweep_runs.step,
    'loss',
    classes.document,
    count(*),
    [sum(classes.loss)::float]
from classes
inner join sweep_runs on classes.run = sweep_runs.run
where classes.loss is not null
group by sweep_runs.last_run, classes.token_class, sweep_runs.step, classes.document
union all
select
    chosen.last_run,
    classes.token_class,
    chosen.step,
    'activation',
    classes.document,
    count(distinct classes.token_index),
    list(activations.activation order by classes.token_index, chosen.place)
from activations
inner join chosen on activations.run = chosen.run and activations.neuron = chosen.neuron and chosen.place <= chosen.size
inner join classes
    on
        same_position(activations.run, activations.token_index, classes.run, classes.token_index)
        and chosen.token_class = classes.token_class
group by chosen.last_run, classes.token_class, chosen.step, classes.document
union all
select
    chosen.last_run,
    chosen.token_class,
    chosen.step,
    weights.side,
    chosen.place - 1,
    chosen.size,
    weights.weight
from chosen
inner join weights on chosen.run = weights.run and chosen.neuron = weights.neuron
union all
select
    sweep_runs.run,
    regimes.token_class,
    sweep_runs.step,
    'verdict',
    0,
    regimes.n_positions,
    [case regimes.verdict when 'supported' then 1 when 'contradicted' then -1 else 0 end::float]
from regimes
inner join sweep_runs on regimes.run = sweep_runs.run and sweep_runs.run = sweep_runs.last_run
where
    regimes.sign_group = 'all'
    and regimes.quantity = 'plateau_excess'
    and regimes.token_class in ('common', 'rare')
order by run, token_class, step, part, item;
