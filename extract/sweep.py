"""`rt sweep`: the same windows read by every checkpoint of a model, one ordinary run each.

All files are hashed first. Hubs are reported to serve late weights under the names of early steps (more than half of
the branches of one Pythia model), so checkpoints with equal weights are named before anything is measured, and of such
a group only the one with the last step counts: one measurement must not be taken for two.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from extract.checkpoints import Checkpoint, checkpoints
from extract.corpus import read_corpus
from extract.extra_passes import ExtraPass
from extract.model_files import ModelFiles
from extract.models import resolve
from extract.run import Prepared, extract_inputs, prepare
from extract.session import Inputs, Session, gather
from extract.settings import Settings
from warehouse.errors import LakeError, ModelError, RtError
from warehouse.lake import open_lake, removal
from warehouse.run_folder import RunFolder

Say = Callable[[str], None]


def sweep(settings: Settings, revisions: str, say: Say = print, passes: Sequence[ExtraPass] = ()) -> list[str]:
    """Extract every checkpoint that `revisions` asks for; the ids of their runs, in the order of training.

    Goes on where an earlier call stopped: what is in the lake is not measured again. A checkpoint that fails does not
    keep the others from being measured. Raises `RtError` for what concerns all of them, and at the end a `ModelError`
    that names those that failed.
    """
    for each in passes:
        each.check()
    settings.check()
    chosen = checkpoints(settings.model, revisions)
    failed: dict[str, RtError] = {}
    inputs = _gathered(settings, chosen, failed, say)
    of_sweep = None
    if inputs:
        inputs = _of_one_sweep(inputs)
        of_sweep = inputs[0].sweep
        inputs = _without_copies(inputs, _published(inputs[0]), say)
    shared, runs = _Shared(), []
    for number, of in enumerate(inputs, start=1):
        name = str(of.settings.revision)
        say(f"checkpoint {number} of {len(inputs)}: {name}")
        try:
            runs.append(extract_inputs(of, say, passes, shared))
        except RtError as error:
            failed[name] = error
            say(f"{name} failed: {error.message}")
        gc.collect()  # a model is held by cycles of its modules: one at a time is in memory
    if failed:
        raise _failures(failed, len(chosen))
    say(f"sweep {of_sweep}: {len(runs)} checkpoint{'s' * (len(runs) != 1)} in {settings.lake}")
    return runs


class _Shared:
    """`prepare` for all checkpoints: windows and frequencies are made once, from the first that is read."""

    def __init__(self) -> None:
        self._made: Prepared | None = None
        self._sizes: dict[str, int] = {}

    def __call__(self, session: Session, say: Say) -> Prepared:
        last = session.last
        sizes = {name: getattr(last, name) for name in ("n_vocabulary", "layer", "d_model", "d_mlp")}
        if self._made is None:
            self._made, self._sizes = prepare(session, say), sizes
        if sizes != self._sizes:
            here, there = (", ".join(f"{name} {n}" for name, n in of.items()) for of in (sizes, self._sizes))
            raise ModelError(
                f"{session.inputs.settings.revision} is a model of other sizes: {here}; those before it: {there}",
                hint="a sweep is over checkpoints of one model",
            )
        return self._made


def _gathered(settings: Settings, chosen: Sequence[Checkpoint], failed: dict[str, RtError], say: Say) -> list[Inputs]:
    """Hash every checkpoint; those that cannot be read go to `failed`. Raises `ModelError` if tokenizers differ."""
    files: dict[str, ModelFiles] = {}
    for each in chosen:
        try:
            files[each.revision] = resolve(settings.model, each.revision, say)
        except ModelError as error:
            failed[each.revision] = error
            say(f"{each.revision} failed: {error.message}")
    _check_tokenizers(files)
    corpus = read_corpus(settings.corpus, settings.text_column)
    return [gather(replace(settings, revision=name), say, found, corpus) for name, found in files.items()]


def _check_tokenizers(files: Mapping[str, ModelFiles]) -> None:
    """Raise `ModelError` unless all checkpoints have the same tokenizer: they are to read the same windows."""
    names = list(files)
    others = [name for name in names if files[name].tokenizer_sha256 != files[names[0]].tokenizer_sha256]
    if others:
        lacks = files[others[0]].tokenizer_sha256 is None
        what = "no tokenizer" if lacks else f"another tokenizer than {names[0]}"
        more = f", and {len(others) - 1} more differ" if len(others) > 1 else ""
        raise ModelError(
            f"{others[0]} has {what}{more}",
            hint="checkpoints of one sweep need the same tokenizer files; copy those of one to all",
        )


def _published(inputs: Inputs) -> list[RunFolder]:
    """The runs of the sweep that are in the lake."""
    lake = inputs.settings.lake
    runs = open_lake(lake).runs if (lake / "runs").is_dir() else ()
    return [run for run in runs if run.manifest.get("sweep") == inputs.sweep]


def _of_one_sweep(inputs: list[Inputs]) -> list[Inputs]:
    """The inputs, of the sweep that the runs of them which are in the lake are of. Raises `LakeError` if it is not one.

    The id is made from the model's path. A folder that was moved goes on with the sweep that it began.
    """
    lake = inputs[0].settings.lake
    runs = {run.name: run for run in (open_lake(lake).runs if (lake / "runs").is_dir() else ())}
    there = {each.run: runs[each.run].manifest.get("sweep") for each in inputs if each.run in runs}
    ids = set(there.values()) or {inputs[0].sweep}
    if len(ids) > 1 or None in ids:
        odd = [run for run, of in there.items() if of is None] or list(there)[1:]
        raise LakeError(
            f"{odd[0]} in {lake} is of no sweep, or of another than its fellow checkpoints",
            hint=f"`{removal(odd[0])}`, then the same command measures it as part of the sweep",
        )
    of_sweep = ids.pop()
    inputs = [replace(each, of_sweep=of_sweep) for each in inputs]
    known = {run.manifest["config"].get("revision"): run for run in _published(inputs[0])}
    for each in inputs:
        run = known.get(each.settings.revision)
        if run is not None and run.name != each.run:
            raise LakeError(
                f"{run.name} in {lake} was made from other files of {each.settings.revision}: the checkpoints changed",
                hint="runs of two trainings make no trajectory: use another --lake, or `rt rm` the runs of the first",
            )
    return inputs


def _without_copies(inputs: list[Inputs], published: Sequence[RunFolder], say: Say) -> list[Inputs]:
    """The checkpoints but those whose weights a later step has too; says which."""
    steps: dict[str, dict[int, str]] = {}
    for run in published:
        weights = replace(inputs[0].files, weights=run.manifest["model"]["weights_sha256"]).weights_sha256
        steps.setdefault(weights, {})[run.manifest["step"]] = str(run.manifest["model"]["revision"])
    for each in inputs:
        steps.setdefault(each.files.weights_sha256, {})[each.step or 0] = str(each.settings.revision)
    for same in steps.values():
        if len(same) > 1:
            names = [same[step] for step in sorted(same)]
            say(
                f"warning: {', '.join(names)} hold identical weights: some of these names are wrong (public "
                f"checkpoints are known to hold late weights under early names); only {names[-1]} counts"
            )
    return [each for each in inputs if each.step == max(steps[each.files.weights_sha256])]


def _failures(failed: Mapping[str, RtError], n: int) -> ModelError:
    """What a sweep ends with if checkpoints failed: each with its reason."""
    said = "; ".join(f"{name}: {error.message}" for name, error in failed.items())
    hints = dict.fromkeys(error.hint for error in failed.values() if error.hint)
    return ModelError(
        f"{len(failed)} of {n} checkpoints failed: {said}",
        hint="; ".join([*hints, "the same command goes on with them"]),
    )
