"""Any text can be written, with any bytes in a file name."""

from __future__ import annotations

import io
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcmass.text import ANY_TEXT, name_of, noted, one_line, readable

LATIN = os.fsdecode(b"b\xfcro")

C1 = re.compile("[\x80-\x9f]")
"""Control characters whose UTF-8 code has two bytes."""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Übung λ", "Übung λ"),
        (LATIN, r"b\xfcro"),
        ("Übung".encode().decode("ascii", "surrogateescape"), "Übung"),
        ("a\ud800b", r"a\ud800b"),
        ("a\nb", "a\nb"),
    ],
)
def test_readable(text: str, written: str) -> None:
    assert readable(text) == written


def test_one_line() -> None:
    assert one_line("a\nb\r\x1b\x85\u2028 λ" + LATIN) == "a\\nb\\r\\x1b\\x85\\u2028 λb\\xfcro"


@given(st.binary(max_size=20).filter(lambda name: b"\\" not in name))
def test_a_file_name_is_found_again(name: bytes) -> None:
    written = readable(os.fsdecode(name))
    written.encode()
    assert os.fsencode(name_of(written)) == name


@given(st.binary(max_size=20))
def test_a_noted_name_is_found_again(name: bytes) -> None:
    written = noted(os.fsdecode(name))
    assert len(written.encode().splitlines()) <= 1
    if not C1.search(readable(os.fsdecode(name))):  # their escapes are also those of bytes
        assert name in (os.fsencode(written), os.fsencode(name_of(written)))


@given(st.text(st.characters(), max_size=20))
def test_whatever_the_text_it_can_be_written_on_one_line(text: str) -> None:
    assert len(one_line(text).encode().splitlines()) <= 1


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", b"b\xfcro \xce\xbb"), ("ascii", b"b\xfcro \\u03bb"), ("latin-1", b"b\xfcro \\u03bb")],
)
def test_a_stream_accepts_any_text(encoding: str, written: bytes) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=ANY_TEXT)
    stream.write(LATIN)
    stream.write(" λ")
    stream.flush()
    assert raw.getvalue() == written
