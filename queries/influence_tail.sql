-- Which law do the influences of neurons follow: sums per document, for fits that carry the noise of the documents.
-- Source: mean ablation in the last MLP, Liu et al. (2025), arXiv 2505.12822, section 3 (plateau, power law, decay).
-- Caveats: positions whose deciding token has no frequency rank (control tokens) are left out.
-- Grain: one row per (run, token_class, document, neuron).
select *
from document_influence(rare_quantile := $rare_quantile, rare_by := $rare_by)
order by run, token_class, document, neuron;
