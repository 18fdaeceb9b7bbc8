-- The residual stream after every layer at the positions of the sampled documents: what its spectra are made of.
-- Caveats: needs the pass over layers (rt extract --layers); a covariance needs every component, so nothing is summed.
-- Grain: one row per (run, layer, token_index).
select *
from state_rows
order by run, layer, token_index;
