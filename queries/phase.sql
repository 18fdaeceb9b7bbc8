-- Vectors of the same samples at every checkpoint of a training, by representation: all that the probes read.
-- Caveats: needs a sweep over checkpoints, or files given with --states; a covariance needs every component, so nothing
-- is summed here; the rows come in batches, but are put in order in DuckDB's memory: all checkpoints at once.
-- Grain: one row per (run, representation, step, sample).
select *
from trajectory_states
order by run, representation, step, sample;
