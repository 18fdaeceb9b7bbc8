"""Where outcomes are kept: each batch in a file of its own as it ends, and all of them packed, to be committed.

`FOLDER/<slug>/<family>-<design>/<batch>.parquet` holds the outcomes of one batch of one analysis. `pack` moves those of
an analysis into one file, `FOLDER/packed/<slug>/<first free number>.parquet`, which is never written again: the
repository grows by what is new. Files of an analysis that has changed since are removed by hand.
"""

import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from calibration.targets import OUTCOME

FOLDER = Path(".calibration")
PACKED = "packed"
# Rates ask whether a truth is between two ends: single precision is enough for that, and the estimate is not needed.
_NEEDED = [name for name in OUTCOME if name not in ("run", "target", "estimate")]
_SCHEMA = {
    "family": pl.String, "design": pl.String, "batch": pl.Int32, "date": pl.Date, "target": pl.String, "run": pl.Int32,
    **dict.fromkeys(_NEEDED, pl.Float32),
}  # fmt: skip


class Key(NamedTuple):
    """A batch of one analysis: `number` counts the batches of the design."""

    slug: str
    family: str
    design: str
    number: int


def keep(folder: Path, key: Key, outcomes: pl.DataFrame) -> None:
    """Write the outcomes of a batch, the whole file or none."""
    path = folder / key.slug / f"{key.family}-{key.design}" / f"{key.number:05d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    outcomes.write_parquet(partial)
    partial.rename(path)


def keys(folder: Path) -> set[Key]:
    """The batches that are kept."""
    return {_key(path) for path in _loose(folder)} | _packed_keys(folder)


def outcomes(slug: str, family: str, design: str, folder: Path = FOLDER) -> tuple[pl.DataFrame, str]:
    """All outcomes that are kept of one analysis and design, and the day of the last batch; empty if there is none."""
    done = _packed_keys(folder, slug)
    loose = [path for path in _loose(folder, slug) if (key := _key(path)) not in done and key[1:3] == (family, design)]
    parts = [pl.read_parquet(path) for path in loose]
    days = [_day(path) for path in loose]
    for path in _packed(folder, slug):
        part = pl.read_parquet(path).filter(family=family, design=design)
        days += part["date"].unique().to_list()
        parts.append(part.select(pl.col(name).cast(OUTCOME[name]) for name in OUTCOME if name in part.columns))
    found = pl.concat([pl.DataFrame(schema=OUTCOME), *parts], how="diagonal")
    return found, max(days).isoformat() if days else ""


def pack(folder: Path) -> None:
    """Move the batches that are kept one by one to packed files, one of each analysis that has any.

    Other processes may go on to keep batches meanwhile.
    """
    for slug in sorted({_key(path).slug for path in _loose(folder)}):
        loose = _loose(folder, slug)
        parts = []
        done = _packed_keys(folder, slug)  # an earlier call may have ended before it removed what it packed
        for path in loose:
            if (key := _key(path)) in done:
                continue
            named = {"family": key.family, "design": key.design, "batch": key.number, "date": _day(path)}
            columns = {name: pl.lit(value) for name, value in named.items()}
            part = pl.read_parquet(path).with_columns(**columns)
            parts.append(part.select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items()))
        if parts:
            target = folder / PACKED / slug / f"{len(_packed(folder, slug)):03d}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            pl.concat(parts).sort("family", "design", "target", "run").write_parquet(partial, compression_level=19)
            partial.rename(target)
        for path in loose:
            path.unlink()


def _loose(folder: Path, slug: str = "*") -> list[Path]:
    return sorted(path for path in folder.glob(f"{slug}/*/*.parquet") if path.parts[-3] != PACKED)


def _packed(folder: Path, slug: str = "*") -> list[Path]:
    return sorted(folder.glob(f"{PACKED}/{slug}/*.parquet"))


def _packed_keys(folder: Path, slug: str = "*") -> set[Key]:
    found: set[Key] = set()
    for path in _packed(folder, slug):
        batches = pl.read_parquet(path, columns=["family", "design", "batch"]).unique()
        found |= {Key(path.parent.name, *row) for row in batches.iter_rows()}
    return found


def _key(path: Path) -> Key:
    family, _, design = path.parent.name.partition("-")
    return Key(path.parents[1].name, family, design, int(path.stem))


def _day(path: Path) -> datetime.date:
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date()
