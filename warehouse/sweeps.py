"""Which runs of a lake are checkpoints of one sweep, from their manifests: what a report shows, and what it reads."""

from collections.abc import Collection, Iterable, Sequence

from warehouse.run_folder import RunFolder


def last_checkpoints(runs: Sequence[RunFolder]) -> list[str]:
    """The run of the last step of each sweep, and all runs outside any, in the order of `runs`."""
    last: dict[str, RunFolder] = {}
    for run in runs:
        if (sweep := run.sweep) and (sweep not in last or run.step >= last[sweep].step):
            last[sweep] = run
    return [run.name for run in runs if not run.sweep or last[run.sweep] is run]


def trajectories(runs: Sequence[RunFolder], names: Iterable[str]) -> list[str]:
    """The runs `names`, and the earlier checkpoints of their sweeps: the way that led to them."""
    wanted: Collection[str] = set(names)
    last: dict[str, int] = {}
    for run in runs:
        if run.name in wanted and run.sweep:
            last[run.sweep] = max(run.step, last.get(run.sweep, -1))
    return [run.name for run in runs if run.name in wanted or (run.sweep in last and run.step <= last[run.sweep])]
