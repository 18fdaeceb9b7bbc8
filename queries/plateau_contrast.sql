-- The ablation deltas of all neurons at every position as one list: what labels of tokens are permuted over.
-- Source: Liu et al. (2025), arXiv 2509.21163 and 2509.04479 (rare against common tokens).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out. The matrix (positions,
-- neurons) is read whole, as float32, because labels can only be permuted where the positions are.
-- Grain: one row per (run, token_index).
select
    ablations.run,
    ablations.token_index,
    classes.document,
    classes.token_class,
    list(ablations.delta_loss order by ablations.neuron) as delta_loss
from ablations
inner join token_classes(rare_quantile := $rare_quantile, rare_by := $rare_by) as classes
    on same_position(ablations.run, ablations.token_index, classes.run, classes.token_index)
group by ablations.run, ablations.token_index, classes.document, classes.token_class
order by run, token_index;
