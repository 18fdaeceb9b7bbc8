-- Which neurons are in the plateau whatever the documents: sums per document, to be resampled, ranked and segmented.
-- Source: mean ablation in the last MLP, Liu et al. (2025), arXiv 2505.12822, section 3.
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out.
-- Grain: one row per (run, token_class, document, neuron).
select *
from document_influence(rare_quantile := $rare_quantile, rare_by := $rare_by)
order by run, token_class, document, neuron;
