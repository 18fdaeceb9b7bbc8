-- How the sparsity of each layer's states goes with the token's loss and rarity: the sums that a regression needs.
-- Source: Jin et al. (2026), arXiv 2603.03415; here per document, so that its errors can be clustered by document.
-- Caveats: needs the pass over layers (rt extract --layers); positions whose token has no frequency have no rarity.
-- Columns `within_...` are of deviations from the mean of the positions that read the same token, where there are two.
-- Grain: one row per (run, variant, measure, layer, document).
with
-- each position with its loss and minus the log of the frequency of the token that decides, both centred per run: large
-- offsets would cancel in the sums
difficulty as (
    select
        tokens.run,
        tokens.token_index,
        tokens.document,
        tokens.token_id,
        tokens.loss::double - avg(tokens.loss::double) over (partition by tokens.run) as loss,
        tokens.loss::double - avg(tokens.loss::double) over (partition by tokens.run, tokens.token_id) as within_loss,
        count(*) over (partition by tokens.run, tokens.token_id) as n_alike,
        -ln(vocabulary.probability) + avg(ln(vocabulary.probability)) over (partition by tokens.run) as rarity
    from tokens
    inner join vocabulary
        on
            tokens.run = vocabulary.run
            and vocabulary.token_id = case
                when $rare_by = 'target' then tokens.target_id
                when $rare_by = 'input' then tokens.token_id
                else error('rare_by is ' || $rare_by || '; it must be ''target'' or ''input''')
            end
    where tokens.loss is not null and vocabulary.frequency_rank is not null
),

-- one row per measure instead of a column
measures as (
    unpivot layer_tokens
    on hoyer, gini, top_1, top_5, top_7, top_10, entropy_rank, l0_share
    into name measure value sparsity
),

-- the mean of each measure over the positions that read the same token
means as (
    select
        layer_tokens.run,
        layer_tokens.layer,
        layer_tokens.variant,
        difficulty.token_id,
        avg(layer_tokens.hoyer::double) filter (where not isnan(layer_tokens.hoyer)) as hoyer,
        avg(layer_tokens.gini::double) filter (where not isnan(layer_tokens.gini)) as gini,
        avg(layer_tokens.top_1::double) filter (where not isnan(layer_tokens.top_1)) as top_1,
        avg(layer_tokens.top_5::double) filter (where not isnan(layer_tokens.top_5)) as top_5,
        avg(layer_tokens.top_7::double) filter (where not isnan(layer_tokens.top_7)) as top_7,
        avg(layer_tokens.top_10::double) filter (where not isnan(layer_tokens.top_10)) as top_10,
        avg(layer_tokens.entropy_rank::double) filter (where not isnan(layer_tokens.entropy_rank)) as entropy_rank,
        avg(layer_tokens.l0_share::double) filter (where not isnan(layer_tokens.l0_share)) as l0_share
    from layer_tokens
    inner join difficulty on layer_tokens.run = difficulty.run and layer_tokens.token_index = difficulty.token_index
    where difficulty.n_alike > 1
    group by layer_tokens.run, layer_tokens.layer, layer_tokens.variant, difficulty.token_id
),

type_means as (
    unpivot means
    on hoyer, gini, top_1, top_5, top_7, top_10, entropy_rank, l0_share
    into name measure value sparsity
)

select
    measures.run,
    measures.variant,
    measures.measure,
    measures.layer,
    difficulty.document,
    max(runs.layer) + 1 as n_model_layers,
    count(*) as n_positions,
    sum(difficulty.loss) as loss,
    sum(difficulty.rarity) as rarity,
    sum(difficulty.loss * difficulty.loss) as loss_loss,
    sum(difficulty.rarity * difficulty.rarity) as rarity_rarity,
    sum(difficulty.loss * difficulty.rarity) as loss_rarity,
    sum(measures.sparsity::double) as y,
    sum(measures.sparsity::double * measures.sparsity::double) as y_y,
    sum(difficulty.loss * measures.sparsity::double) as loss_y,
    sum(difficulty.rarity * measures.sparsity::double) as rarity_y,
    count(type_means.sparsity) as within_n_positions,
    coalesce(sum(1 - 1 / difficulty.n_alike) filter (where type_means.sparsity is not null), 0) as within_free,
    coalesce(sum(difficulty.within_loss) filter (where type_means.sparsity is not null), 0) as within_loss,
    coalesce(sum(difficulty.within_loss * difficulty.within_loss) filter (where type_means.sparsity is not null), 0)
        as within_loss_loss,
    coalesce(sum(measures.sparsity::double - type_means.sparsity), 0) as within_y,
    coalesce(sum((measures.sparsity::double - type_means.sparsity) ** 2), 0) as within_y_y,
    coalesce(sum(difficulty.within_loss * (measures.sparsity::double - type_means.sparsity)), 0) as within_loss_y
from measures
inner join runs on measures.run = runs.run
inner join difficulty on measures.run = difficulty.run and measures.token_index = difficulty.token_index
left join type_means
    on
        measures.run = type_means.run
        and measures.layer = type_means.layer
        and measures.variant = type_means.variant
        and measures.measure = type_means.measure
        and difficulty.token_id = type_means.token_id
where not isnan(measures.sparsity)
group by measures.run, measures.variant, measures.measure, measures.layer, difficulty.document
order by run, variant, measure, layer, document;
