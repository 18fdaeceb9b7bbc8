"""`rt extract`: from the settings to a published run, or on from where an earlier attempt stopped."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from extract.directions import directions
from extract.estimate import check_disk, disk_bytes
from extract.extra_passes import ExtraPass, add_pass
from extract.families import LastLayer
from extract.frequencies import Frequencies, choose_frequencies
from extract.neuron_logits import neuron_logits
from extract.passes import Passes, list_column, total_routes
from extract.publication import already_there, publish_run
from extract.same_training import check_same_training
from extract.session import Inputs, Session, gather
from extract.settings import Settings
from extract.sharing import share_tables
from extract.staging import Stage
from extract.unigrams import token_texts
from extract.windows import Plan, positions_per_window
from warehouse.lake import locked, runs_folder, staging_folder
from warehouse.shards import write_shard


@dataclass(frozen=True)
class Prepared:
    """What a run reads, and how frequent its tokens are: the same for every checkpoint of a sweep."""

    plan: Plan
    frequencies: Frequencies
    has_bos: bool


Prepare = Callable[[Session, Callable[[str], None]], Prepared]


def prepare(session: Session, say: Callable[[str], None]) -> Prepared:
    """Tokenise the corpus, choose the windows and the frequencies."""
    settings, plan = session.inputs.settings, session.plan()
    texts = token_texts(session.tokenizer, session.last.n_vocabulary)
    frequencies = choose_frequencies(settings.unigram_option(), plan, settings.skip, *texts, say)
    return Prepared(plan, frequencies, session.bos is not None)


def extract(settings: Settings, say: Callable[[str], None] = print, passes: Sequence[ExtraPass] = ()) -> str:
    """Extract a run into the lake, add the optional `passes` that it lacks, and return its id.

    Goes on where an earlier attempt stopped. A run that is there already is left as it is. Raises `RtError` for what
    the user can mend; what is finished of the run, or of a pass, then stays in `LAKE/staging` for the next attempt.
    """
    for each in passes:
        each.check()
    inputs = gather(settings, say)
    check_same_training(inputs, {str(settings.revision): inputs.files})
    return extract_inputs(inputs, say, passes, prepare)


def extract_inputs(inputs: Inputs, say: Callable[[str], None], passes: Sequence[ExtraPass], prepared: Prepare) -> str:
    """`extract` from inputs that were found and hashed; `prepared` is asked only where there is something to do."""
    opened = cache(lambda: Session(inputs))  # the model is loaded once, and not where nothing is left to do
    run = _extract_run(inputs, opened, prepared, say, passes)
    for each in passes:
        add_pass(inputs, opened, run, each, say)
    return run


def _extract_run(
    inputs: Inputs,
    opened: Callable[[], Session],
    prepared: Prepare,
    say: Callable[[str], None],
    passes: Sequence[ExtraPass],
) -> str:
    """The run itself; `opened()` is the session, which must have what `passes` will ask for."""
    settings, run = inputs.settings, inputs.run
    then = f"now its {' and '.join(each.of_pass for each in passes)}" if passes else "nothing to do"
    if runs_folder(settings.lake, run).exists():
        if staging_folder(settings.lake, run).exists():  # an attempt was killed just after publishing
            with locked(settings.lake, run):
                shutil.rmtree(staging_folder(settings.lake, run), ignore_errors=True)
        return already_there(settings.lake, run, say, then)
    session = opened()
    for each in passes:
        each.fits(session)
    made = prepared(session, say)
    plan = made.plan
    n_positions = len(plan.windows) * positions_per_window(settings.context, settings.skip)
    with locked(settings.lake, run):
        if runs_folder(settings.lake, run).exists():
            return already_there(settings.lake, run, say, then)
        with Stage.open(settings.lake, run, inputs.identity) as stage:
            size, staged = disk_bytes(n_positions, session.last, min(settings.frozen_tokens, n_positions))
            if not stage.state["shards"]:
                check_disk(settings.lake, staged)
            say(
                f"{run}: {len(plan.windows):,} window{'s' * (len(plan.windows) != 1)} of "
                f"{len(plan.documents):,} document{'s' * (len(plan.documents) != 1)}, "
                f"{n_positions:,} positions x {session.last.d_mlp:,} neurons, about {size / 1e6:,.0f} MB"
            )
            with stage.timed("self_check"):
                stage.note(self_check=session.prove(plan.windows))
            _make(session, made, stage)
            facts = _facts(session, made, n_positions)
            publish_run(settings.lake, run, stage.folder / "run", stage.tables(), facts, _manifest(inputs, plan, stage))
            shutil.rmtree(stage.folder, ignore_errors=True)
    say(f"{run} is in {settings.lake}")
    return run


def _make(session: Session, made: Prepared, stage: Stage) -> None:
    """Everything that is written into the stage."""
    settings = session.inputs.settings
    if not share_tables(stage, settings.lake, session.inputs.sweep, session.last.n_vocabulary):
        _write_plan(made.plan, made.frequencies, stage)
    stage.note(unigram_source=made.frequencies.source, frequencies=made.frequencies.chosen)
    log_unigram = np.log(made.frequencies.vocabulary["probability"].to_numpy())
    passes = Passes(settings, stage, session.last, made.plan.windows, log_unigram)
    passes.forward(session.model)
    mean, deviation = passes.moments()
    _write_neurons(session.last, mean, deviation, stage)
    passes.ablate(mean)
    passes.merge()


def _write_plan(plan: Plan, frequencies: Frequencies, stage: Stage) -> None:
    """`documents`, `windows` and `vocabulary`."""
    root = stage.folder
    names = zip(*((key, *value) for key, value in plan.documents.items()), strict=True)
    documents = dict(zip(("document", "name", "n_characters", "n_tokens"), map(list, names), strict=True))
    windows = {
        "window": np.arange(len(plan.windows), dtype=np.int32),
        "document": [window.document for window in plan.windows],
        "start": [window.start for window in plan.windows],
        "token_ids": [window.token_ids for window in plan.windows],
    }
    tables = {
        "documents": pa.table(documents),
        "windows": pa.table(windows),
        "vocabulary": frequencies.vocabulary,
    }
    for name, data in tables.items():
        stage.record(write_shard(root / f"run/{name}/part-00000.parquet", name, data, root))


def _write_neurons(last: LastLayer, mean: np.ndarray, deviation: np.ndarray, stage: Stage) -> None:
    """`neurons`, `weights` and `neuron_logits`."""
    sides = {"in": last.w_in, "gate": last.gate, "out": last.w_out}
    weights = {side: each.float().cpu().numpy() for side, each in sides.items() if each is not None}
    neuron = np.arange(last.d_mlp, dtype=np.int32)
    layer = np.full(last.d_mlp, last.layer, dtype=np.int32)
    norms = {f"{side}_norm": np.linalg.norm(each, axis=1) for side, each in weights.items()}
    neurons = {
        "layer": layer, "neuron": neuron, "mean_activation": mean, "sd_activation": deviation, **norms,
        **vars(directions(last)),
    }  # fmt: skip
    rows = pa.concat_tables(
        pa.table({"layer": layer, "neuron": neuron, "side": [side] * len(neuron), "weight": list_column(each)})
        for side, each in weights.items()
    )
    for name, data in (
        ("neurons", pa.table(neurons)),
        ("weights", rows.sort_by([("neuron", "ascending"), ("side", "ascending")])),
        ("neuron_logits", neuron_logits(last)),
    ):
        stage.record(write_shard(stage.folder / f"run/{name}/part-00000.parquet", name, data, stage.folder))


def _facts(session: Session, made: Prepared, n_positions: int) -> dict[str, Any]:
    """The row of `runs`, but for what publishing adds."""
    inputs, settings, last, plan = session.inputs, session.inputs.settings, session.last, made.plan
    return {
        "origin": "extracted",
        "model": settings.model,
        "model_title": inputs.files.title,
        "model_note": inputs.files.note,
        "revision": settings.revision,
        "sweep": inputs.sweep,
        "step": inputs.step,
        "model_sha256": inputs.files.sha256,
        "weights_sha256": inputs.files.weights_sha256,
        "family": last.family,
        "layer": last.layer,
        "d_model": last.d_model,
        "d_mlp": last.d_mlp,
        "n_vocabulary": last.n_vocabulary,
        "corpus": inputs.corpus.name,
        "corpus_title": inputs.corpus.title,
        "corpus_sha256": inputs.corpus.sha256,
        "unigram_source": made.frequencies.source,
        "context": settings.context,
        "skip": settings.skip,
        "bos": made.has_bos,
        "seed": settings.seed,
        "dtype": settings.dtype,
        "device": inputs.device,
        "n_documents": len(plan.documents),
        "n_windows": len(plan.windows),
        "n_positions": n_positions,
    }


def _manifest(inputs: Inputs, plan: Plan, stage: Stage) -> dict[str, Any]:
    files = inputs.files
    return {
        "config": {
            **{key: value for key, value in asdict(inputs.settings).items() if key != "lake"},
            "device": inputs.device,
        },
        "identity": inputs.identity,
        **({"sweep": inputs.sweep, "step": inputs.step} if inputs.sweep else {}),
        "model": {
            "model": files.model,
            "title": files.title,
            "note": files.note,
            "revision": files.revision,
            "commit": files.commit,
            "weights_sha256": files.weights,
            "tokenizer_sha256": files.tokenizer_sha256,
            "config_sha256": files.config_sha256,
        },
        "corpus": {
            "corpus": inputs.corpus.name,
            "title": inputs.corpus.title,
            "sha256": inputs.corpus.sha256,
            "n_documents": plan.n_documents,
            "n_short_documents": plan.n_short,
            "n_windows": plan.n_windows,
            "n_tokens": int(plan.token_counts.sum()),
        },
        **stage.facts,
        "routes": total_routes(stage.facts["routes"].values()),
        "seconds": stage.state["seconds"],
    }
