#!/usr/bin/env python3
"""Fetch Jane Austen's six novels as plain text from Debian's package r-cran-janeaustenr.

The package holds them as an R lazy-load database: an index (.rdx, a compressed R
object) gives the offset and length of each variable in the data file (.rdb), whose
entries are compressed R objects too.  This program reads both without R.

Examples:
    fetch_novels.py novels
    fetch_novels.py --deb r-cran-janeaustenr_1.0.0-1_all.deb novels persuasion
"""

import argparse
import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

PACKAGE = "r-cran-janeaustenr"
DATABASE = "usr/lib/R/site-library/janeaustenr/data/Rdata"
NOVELS = ("emma", "mansfieldpark", "northangerabbey", "persuasion", "prideprejudice", "sensesensibility")

SYMBOL, PAIRLIST, CHARACTERS, STRINGS, LIST = 1, 2, 9, 16, 19
INTEGERS = (10, 13)  # logical values are stored as integers
REALS = 14
REFERENCE = 255
CONSTANTS = (241, 242, 251, 253, 254)  # base, empty and global environment, missing argument, NULL
HAS_ATTRIBUTES, HAS_TAG = 0x200, 0x400


class Unserializer:
    """Reader of R's binary (XDR) serialisation, as far as these data need it."""

    def __init__(self, data):
        self.data, self.position, self.references = data, 0, []

    def take(self, count):
        """The next `count` bytes."""
        start = self.position
        self.position = start + count
        if self.position > len(self.data):
            raise ValueError("R object ends early")
        return self.data[start:self.position]

    def numbers(self, code, count):
        """The next `count` numbers of a struct format."""
        return list(struct.unpack(f">{count}{code}", self.take(count * struct.calcsize(f">{code}"))))

    def integer(self):
        """The next integer."""
        return self.numbers("i", 1)[0]

    def value(self):
        """The whole object, after its header."""
        if self.take(2) != b"X\n":
            raise ValueError("not a binary R object")
        version, _writer, _oldest = self.numbers("i", 3)
        if version == 3:
            self.take(self.integer())  # name of the native encoding
        return self.item()[0]

    def item(self):
        """The next item: its value and its attributes (a dictionary)."""
        flags = self.integer()
        kind = flags & 0xFF
        if kind in CONSTANTS:
            return None, {}
        if kind == PAIRLIST:
            return self.pairs(flags), {}
        if kind == REFERENCE:
            return self.references[(flags >> 8 or self.integer()) - 1], {}
        value = self.vector(kind)
        attributes = self.item()[0] if flags & HAS_ATTRIBUTES and kind != CHARACTERS else {}
        names = attributes.get("names")
        return (dict(zip(names, value)) if names else value), attributes

    def vector(self, kind):
        """The content of a symbol, string or vector."""
        if kind == SYMBOL:
            self.references.append(self.item()[0])
            return self.references[-1]
        length = self.integer()
        if kind == CHARACTERS:
            return None if length < 0 else self.take(length).decode()
        if kind in INTEGERS:
            return self.numbers("i", length)
        if kind == REALS:
            return self.numbers("d", length)
        if kind in (STRINGS, LIST):
            return [self.item()[0] for _ in range(length)]
        raise ValueError(f"R object of unexpected type {kind}")

    def pairs(self, flags):
        """A pair list as a dictionary."""
        if flags & HAS_ATTRIBUTES:
            self.item()
        tag = self.item()[0] if flags & HAS_TAG else None
        first = self.item()[0]
        return {tag: first, **(self.item()[0] or {})}


def decompress_file(data):
    """A whole compressed file, by its first bytes."""
    for magic, decompress in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ", lzma)):
        if data.startswith(magic):
            return decompress.decompress(data)
    return zlib.decompress(data)


def decompress_entry(data):
    """One entry of the data file: length, perhaps a letter for the method, content."""
    method, content = data[4:5], data[5:]
    if method == b"2":
        return bz2.decompress(content)
    if method == b"Z":
        return lzma.decompress(content, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}])
    return zlib.decompress(data[4:])


def read_database(base):
    """The variables of a lazy-load database: name -> value."""
    index = Unserializer(decompress_file(Path(f"{base}.rdx").read_bytes())).value()
    data = Path(f"{base}.rdb").read_bytes()
    return {
        name: Unserializer(decompress_entry(data[start:start + length])).value()
        for name, (start, length) in index["variables"].items()
    }


def download(directory):
    """Download the package with apt-get; the path of the file."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=directory, check=True, stdout=sys.stderr)
    return next(Path(directory).glob(f"{PACKAGE}_*.deb"))


def fetch(deb, output, names):
    """Unpack the package and write the novels named as text files."""
    with tempfile.TemporaryDirectory() as directory:
        deb = deb or download(directory)
        tree = Path(directory, "tree")
        subprocess.run(["dpkg-deb", "--extract", str(deb), str(tree)], check=True)
        novels = read_database(tree / DATABASE)
    output.mkdir(parents=True, exist_ok=True)
    for name in names:
        text = "\n".join(novels[name]) + "\n"
        partial = output / f"{name}.txt.tmp"
        partial.write_bytes(text.encode())
        partial.replace(output / f"{name}.txt")
        print(f"{output / name}.txt: {len(text.encode())} bytes")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="DIR", help="directory to write to, made if need be")
    parser.add_argument("novels", nargs="*", metavar="NOVEL", help=f"which ones, of {', '.join(NOVELS)} (default: all)")
    parser.add_argument("--deb", type=Path, metavar="FILE", help="the package, if it is already here")
    args = parser.parse_args()
    unknown = set(args.novels) - set(NOVELS)
    if unknown:
        parser.error(f"no such novel: {', '.join(sorted(unknown))}")
    try:
        fetch(args.deb, args.output, args.novels or NOVELS)
    except (OSError, ValueError, subprocess.CalledProcessError, zlib.error, lzma.LZMAError) as error:
        sys.exit(f"fetch_novels.py: {error}")


if __name__ == "__main__":
    main()
