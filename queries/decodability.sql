-- The residual stream after every layer at the positions of the sampled documents, with what is to be read from it.
-- Caveats: needs the pass over layers (rt extract --layers); a probe needs every component, so nothing is summed.
-- Grain: one row per (run, layer, token_index).
select *
from state_rows
order by run, layer, token_index;
