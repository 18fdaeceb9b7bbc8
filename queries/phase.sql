-- Vectors of the same samples at every checkpoint of a training, by representation: all that the probes read.
-- Caveats: needs a sweep over checkpoints, or files given with --states; a covariance needs every component, so nothing
-- is summed here; the analysis asks for one checkpoint at a time.
-- Grain: one row per (run, representation, step, sample).
select *
from trajectory_states
order by run, representation, step, sample;
