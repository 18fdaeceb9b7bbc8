-- How the sparsity of each layer's states goes with the token's loss and rarity: the sums that a regression needs.
-- Source: Jin et al. (2026), arXiv 2603.03415; here per document, so that its errors can be clustered by document.
-- Caveats: needs the pass over layers (rt extract --layers); positions whose token has no frequency have no rarity.
-- Grain: one row per (run, variant, measure, layer, document).
with
-- each position with its loss and minus the log of the frequency of the token that decides, both centred per run: large
-- offsets would cancel in the sums
difficulty as (
    select
        tokens.run,
        tokens.token_index,
        tokens.document,
        tokens.loss::double - avg(tokens.loss::double) over (partition by tokens.run) as loss,
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
)

select
    measures.run,
    measures.variant,
    measures.measure,
    measures.layer,
    difficulty.document,
    count(*) as n_positions,
    sum(difficulty.loss) as loss,
    sum(difficulty.rarity) as rarity,
    sum(difficulty.loss * difficulty.loss) as loss_loss,
    sum(difficulty.rarity * difficulty.rarity) as rarity_rarity,
    sum(difficulty.loss * difficulty.rarity) as loss_rarity,
    sum(measures.sparsity::double) as y,
    sum(measures.sparsity::double * measures.sparsity::double) as y_y,
    sum(difficulty.loss * measures.sparsity::double) as loss_y,
    sum(difficulty.rarity * measures.sparsity::double) as rarity_y
from measures
inner join difficulty on measures.run = difficulty.run and measures.token_index = difficulty.token_index
where not isnan(measures.sparsity)
group by measures.run, measures.variant, measures.measure, measures.layer, difficulty.document
order by run, variant, measure, layer, document;
