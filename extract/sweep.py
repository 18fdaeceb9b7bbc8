"""`rt sweep`: the same windows read by every checkpoint of a model, one ordinary run each.

All files are hashed first. Hubs are reported to serve late weights under the names of early steps (more than half of
the branches of one Pythia model), so checkpoints with equal weights are named before anything is measured, and of such
a group only the one with the last step counts: one measurement must not be taken for two.
"""

import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from extract.checkpoints import Checkpoint, checkpoints
from extract.corpus import read_corpus
from extract.extra_passes import ExtraPass
from extract.model_files import ModelFiles
from extract.models import resolve
from extract.run import Prepared, extract_inputs, prepare
from extract.same_training import check_same_training, published
from extract.session import Inputs, Session, gather
from extract.settings import Settings
from warehouse.errors import ModelError, RtError
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
    of_sweep = inputs[0].sweep if inputs else None
    if inputs:
        check_same_training(inputs[0], {str(of.settings.revision): of.files for of in inputs})
        inputs = _without_copies(inputs, published(inputs[0]), say)
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
    """Hash every checkpoint; those that cannot be read, or have another tokenizer, go to `failed`."""
    files: dict[str, ModelFiles] = {}
    odd: dict[str, ModelError] = {}
    for each in chosen:
        try:
            files[each.revision] = resolve(settings.model, each.revision, say)
        except ModelError as error:
            odd[each.revision] = error
    odd |= _other_tokenizers(files)
    for name, fault in odd.items():
        failed[name] = fault
        say(f"{name} failed: {fault.message}")
    corpus = read_corpus(settings.corpus, settings.text_column)
    return [gather(replace(settings, revision=name), say, files[name], corpus) for name in files if name not in odd]


def _other_tokenizers(files: Mapping[str, ModelFiles]) -> dict[str, ModelError]:
    """The checkpoints without the tokenizer that most of them have, with what is wrong: all read the same windows.

    Of two that are equally frequent the one that comes first in training is taken.
    """
    counts = Counter(each.tokenizer_sha256 for each in files.values() if each.tokenizer_sha256)
    if not counts:
        return {}  # loading them will say what is missing
    usual = counts.most_common(1)[0][0]
    first = next(name for name, each in files.items() if each.tokenizer_sha256 == usual)
    hint = f"checkpoints of one sweep need the same tokenizer files; copy those of {first}"
    return {
        name: ModelError(
            f"another tokenizer than {first}" if each.tokenizer_sha256 else f"no tokenizer in {each.folder}", hint=hint
        )
        for name, each in files.items()
        if each.tokenizer_sha256 != usual
    }


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
