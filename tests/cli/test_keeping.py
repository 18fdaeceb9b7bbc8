"""What looks after a lake: ls, check, rm, on whole and on damaged runs."""

import re
import shutil

import duckdb

from tests.cli.shell import failed, rt, write_format
from tests.lake import make_lake, planted_influence


def test_a_damaged_manifest_blocks_only_its_own_run(lake, tmp_path):
    lake = shutil.copytree(lake, tmp_path / "lake")
    (whole,) = (path.name.removeprefix("run=") for path in lake.glob("runs/*"))
    shutil.copytree(lake / f"runs/run={whole}", lake / "runs/run=r-damaged")
    at = ("--lake", str(lake))
    listed = rt("ls", *at)
    assert "48 positions" in listed.stdout
    assert re.search(r"^r-damaged  unreadable: .* holds the run", listed.stdout, re.MULTILINE)
    checked = rt("check", *at)
    assert f"{whole}: 6 files as the manifest says" in checked.stdout
    assert "r-damaged: " in checked.stdout
    failed(checked, "1 run has no readable manifest")
    for command in (("sql", "select run from runs"), ("run", "ranking_reliability"), ("sql",)):
        result = rt(*command, *at, stdin="select run from runs;\n")
        assert result.returncode == 0, result.stderr
        assert whole in result.stdout
        assert "warning: r-damaged is left out: " in result.stderr
    alone = rt("run", "ranking_reliability", *at, "--run", whole)
    assert alone.returncode == 0
    assert "warning" not in alone.stderr
    failed(rt("run", "influence", *at, "--run", "r-damaged"), "holds the run")
    failed(rt("check", "r-dam", *at), "holds the run")
    failed(rt("rm", "r-dam", *at), "is only the beginning", "r-damaged")
    assert rt("rm", "r-damaged", *at).stdout == "removed r-damaged\n"
    assert rt("check", *at).returncode == 0


def test_ls_brings_the_catalog_up_to_date(tmp_path):
    own = make_lake(tmp_path, planted_influence(30, elbow=15), documents=8, positions=6)
    catalog = own / "warehouse.duckdb"
    for damage in (catalog.unlink, lambda: catalog.write_bytes(b"not a database")):
        damage()
        assert "pairs" in rt("ls", "--lake", str(own)).stdout
        with duckdb.connect(catalog, read_only=True) as con:
            assert con.execute("select count(*) from tokens").fetchone() == (48,)
    moved = own.rename(tmp_path / "moved")
    rt("ls", "--lake", str(moved))
    with duckdb.connect(moved / "warehouse.duckdb", read_only=True) as con:
        assert con.execute("select count(*) from tokens").fetchone() == (48,)


def test_import_check_and_remove(lake, tmp_path):
    source = lake.parent / "source"
    other = tmp_path / "lake"
    imported = rt("import", str(source), "--lake", str(other), "--model", "mine")
    assert re.search(r"imported 48 positions x 30 neurons as r-[0-9a-f]{10}", imported.stdout)
    assert "nothing to do" in rt("import", str(source), "--lake", str(other), "--model", "mine").stdout
    assert "6 files as the manifest says" in rt("check", "--lake", str(other)).stdout
    (path,) = other.glob("runs/*/tokens/*.parquet")
    path.write_bytes(path.read_bytes()[:-5])
    result = rt("check", "--lake", str(other))
    assert "tokens/part-00000.parquet: truncated" in result.stdout
    failed(result, "1 file is not as the manifest says")
    failed(rt("sql", "from tokens", "--lake", str(other)), "tokens/part-00000.parquet has")
    name = rt("ls", "--lake", str(other)).stdout.split()[0]
    assert rt("rm", name, "--lake", str(other)).stdout == f"removed {name}\n"
    assert "no runs" in rt("ls", "--lake", str(other)).stderr


def test_a_run_of_a_newer_rt_is_not_called_damaged(lake, tmp_path):
    lake = shutil.copytree(lake, tmp_path / "lake")
    (run,) = lake.glob("runs/*")
    write_format(run, 99)
    name, at = run.name.removeprefix("run="), ("--lake", str(lake))
    assert rt("ls", *at).stdout.strip().endswith("this one reads up to 1; upgrade rt to read this lake")
    for words in (("check",), ("check", name), ("run", "influence", "--run", name)):
        result = rt(*words, *at)
        failed(result, "hint: upgrade rt to read this lake")
        assert "rt rm" not in result.stderr
    assert "upgrade rt" in rt("sql", "select 1", *at).stderr
