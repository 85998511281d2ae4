"""Text that any file and any screen can represent, also for file names that are not UTF-8.

Linux takes any bytes for a file name. Python keeps a byte that is not UTF-8 as a lone surrogate (PEP 383), which
cannot be written as UTF-8; here it is written as the name of the byte, `\\xfc`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|[nrt]|u202[89])")
"""What `noted` puts in place of a byte that is not UTF-8, of a control character, or of a backslash beside one."""

ANY_TEXT = "hpcmass.any_text"
"""Error handler of a stream: a file name's bytes unchanged, a character that the encoding lacks as an escape."""


def readable(text: str) -> str:
    """The same text without lone surrogates; those that are bytes of UTF-8 text are decoded."""
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates, which do not stand for bytes
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 point`, `2 points`."""
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def shortened(text: str, most: int = 60) -> str:
    """The text, cut to so many characters if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def one_line(text: str) -> str:
    """The same, with a line break or another control character as its escape, `\\n`."""
    return "".join(c.encode("unicode_escape").decode() if is_control(c) else c for c in readable(text))


def is_control(character: str) -> bool:
    """Whether a character is not printable text: a line break, NUL, a lone surrogate, …"""
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def noted(name: str) -> str:
    """A file name on one line, from which `name_of` gets it back."""
    return name if one_line(name) == name else one_line(name.replace("\\", "\\\\"))


def name_of(text: str) -> str:
    """The file name behind the text of `noted`, or of `readable` if it has no backslash."""

    def unescaped(found: re.Match[str]) -> str:
        if found[1]:
            return bytes([int(found[1], 16)]).decode("utf-8", "surrogateescape")
        return found[0].encode().decode("unicode_escape")

    return _ESCAPE.sub(unescaped, text)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(ANY_TEXT, _escaped)
