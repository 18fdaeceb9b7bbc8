-- How much ablating each attention head changes the loss, by document and class: sums over the sampled positions.
-- Source: the change of the loss under mean or position-0 ablation, Liu et al., arXiv 2509.21163 and 2509.04479.
-- Caveats: there if the run was extracted with --heads; positions were sampled in pairs of rare and common targets.
-- Grain: one row per (run, ablation, layer, head, token_class, document).
select
    head_tokens.run,
    head_tokens.ablation,
    head_tokens.layer,
    head_tokens.head,
    classes.token_class,
    classes.document,
    count(*) as n_positions,
    sum(head_tokens.delta_loss::double) as sum_delta,
    sum(abs(head_tokens.delta_loss::double)) as sum_abs_delta,
    sum(tokens.loss::double) as sum_loss,
    any_value(head_balance.input_gap) as input_gap,
    any_value(head_balance.position_gap) as position_gap
from head_tokens
inner join token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as classes
    on
        head_tokens.run = classes.run
        and head_tokens.token_index = classes.token_index
inner join tokens
    on
        head_tokens.run = tokens.run
        and head_tokens.token_index = tokens.token_index
left join head_balance on head_tokens.run = head_balance.run
group by
    head_tokens.run,
    head_tokens.ablation,
    head_tokens.layer,
    head_tokens.head,
    classes.token_class,
    classes.document
order by run, ablation, layer, head, token_class, document;
