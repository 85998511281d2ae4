"""The configurations that a sweep was run with, one after the other, in a text that is changed in place.

The text is a dataset of fixed size, all of it in the file from the beginning, so adding to it moves nothing that
describes the file. Each entry says how long it is and carries a checksum: one that a kill has torn counts for nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from hpcmass.store.provenance import now
from hpcmass.store.schema import CHAIN_BYTES, CONFIG_CHAIN

_HEAD = re.compile(rb"--- # hpcmass configuration from (\S+), (\d+) bytes, crc32 ([0-9a-f]{8})\n")


@dataclass(frozen=True)
class Configuration:
    """One entry.

    Attributes
    ----------
    since : str
        Start of the run that brought it, UTC, ISO 8601.
    text : str
        The whole file.
    """

    since: str
    text: str


def configurations_in(content: bytes) -> list[Configuration]:
    """The entries of a chain up to the first that is not whole."""
    found, place = [], 0
    while head := _HEAD.match(content, place):
        begin, size = head.end(), int(head[2])
        text = content[begin : begin + size]
        if len(text) != size or f"{zlib.crc32(text):08x}".encode() != head[3]:
            break
        found.append(Configuration(head[1].decode(), text.decode(errors="replace")))
        place = begin + size + 1
    return found


def chain_value(configurations: Sequence[Configuration]) -> bytes:
    """The entries as the dataset's content; where they do not fit, the oldest after the first go, then the first.

    The latest stays, unless it does not fit alone: see `fits`.

    Each is one YAML document, so the whole is a YAML stream.
    """
    entries = []
    for configuration in configurations:
        text = configuration.text.encode()
        size, checksum = f"{len(text)} bytes", f"crc32 {zlib.crc32(text):08x}"
        head = f"--- # hpcmass configuration from {configuration.since}, {size}, {checksum}\n"
        entries.append(head.encode() + text + b"\n")
    while sum(map(len, entries)) > CHAIN_BYTES:
        del entries[1 if len(entries) > 2 else 0]
    return b"".join(entries)


def fits(text: str) -> bool:
    """Whether a configuration is short enough to be kept."""
    return bool(chain_value([from_now_on(text)]))


def from_now_on(text: str) -> Configuration:
    """An entry for a run that begins."""
    return Configuration(now(), text)


def configurations_of(file: h5py.File) -> list[Configuration]:
    """The entries of an open sweep file, oldest first; of one without a chain, from before 1.3, its configuration."""
    found = configurations_in(file[CONFIG_CHAIN.name][()].tobytes()) if CONFIG_CHAIN.name in file else []
    return found or [Configuration(str(file.attrs.get("date", "")), str(file.attrs["config_yaml"]))]


def united(files: Sequence[h5py.File]) -> list[Configuration]:
    """The entries of several open sweep files, each text once, by the time when it came last.

    Where times are equal, the first file knows better: its entries count as the later ones.
    """
    latest: dict[str, str] = {}
    for file in reversed(files):
        for configuration in configurations_of(file):
            since = max(configuration.since, latest.pop(configuration.text, ""))
            latest[configuration.text] = since
    return [Configuration(since, text) for text, since in sorted(latest.items(), key=lambda item: item[1])]


def write_chain(file: h5py.File, configurations: Sequence[Configuration]) -> None:
    """Store a whole chain in an open sweep file; one without a place for it, from before 1.3, stays as it is."""
    if CONFIG_CHAIN.name in file:
        file[CONFIG_CHAIN.name][()] = np.array(chain_value(configurations), CONFIG_CHAIN.dtype)


def append_configuration(file: h5py.File, text: str) -> None:
    """Add an entry, one that `fits`, to a sweep file that is open for raw writes (`inplace.changing`)."""
    write_chain(file, [*configurations_of(file), from_now_on(text)])
