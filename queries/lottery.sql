-- Every analysed position with what labels are made of, and the atoms of sparse autoencoders it is among the strongest
-- contexts of, at the kept steps of their training; facts of those steps come with the first position of the run.
-- Caveats: needs the pass of autoencoders (rt train-sae); facts of steps are of all positions, whatever the condition.
-- Source: Yang (2026), arXiv 2605.24057 (purity of atoms early and late in training).
-- Grain: one row per (run, token_index).
with
-- per position the atoms that it is a context of
memberships as (
    select
        run,
        token_index,
        list({ 'sae': sae, 'step': step, 'atom': atom, 'rank': rank } order by sae, step, atom) as contexts
    from sae_contexts
    group by run, token_index
),

-- per run the facts of all autoencoders and steps
facts as (
    select
        run,
        list(
            {
                'sae': sae, 'step': step, 'n_atoms': n_atoms, 'l0': l0, 'dead_share': dead_share,
                'explained_variance': explained_variance, 'lambda_max': lambda_max, 'trace': trace, 'beta_em': beta_em
            }
            order by sae, step
        ) as steps
    from sae_steps
    group by run
)

select
    tokens.run,
    tokens.token_index,
    tokens.document,
    tokens.position,
    input.token,
    input.frequency_rank,
    target.token as target,
    memberships.contexts,
    case when tokens.token_index = min(tokens.token_index) over (partition by tokens.run) then facts.steps end as steps
from tokens
inner join facts on tokens.run = facts.run
left join memberships on tokens.run = memberships.run and tokens.token_index = memberships.token_index
left join vocabulary as input on tokens.run = input.run and tokens.token_id = input.token_id
left join vocabulary as target on tokens.run = target.run and tokens.target_id = target.token_id
order by run, token_index;
