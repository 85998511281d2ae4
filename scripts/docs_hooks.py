"""What the documentation takes from the program itself, so that it cannot say anything else: mkdocs hooks.

A line `<!-- generated: NAME -->` in a page is replaced by what the function of that name below returns, and with it the
line in italics below, which tells a reader of the unbuilt page where to look. A picture leads to its file: a page is
narrower than a figure of three maps.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from hpcmass import configdoc
from hpcmass.cli import make_parser
from hpcmass.store import schema

PICTURE = re.compile(r'(<img [^>]*src="([^"]+)"[^>]*>)')
MARK = re.compile(r"^<!-- generated: (\w+) -->\n\*.+\*$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    return MARK.sub(lambda found: GENERATED[found[1]](), markdown)


def on_page_content(html: str, **_: Any) -> str:
    return PICTURE.sub(r'<a href="\2">\1</a>', html)


def configuration() -> str:
    titles = {"": "The file itself", "grid": "`grid`", "network": "`network`", "mass": "`mass`", "compare": "`compare`"}
    parts = []
    for section, title in titles.items():
        rows = [
            [f"`{key.name}`", f"`{key.value}`", key.unit, _cell(key.allowed), key.origin, _cell(key.meaning)]
            for key in configdoc.all_keys()
            if key.section == section
        ]
        parts.append(f"### {title}\n\n{_table(['key', 'default', 'unit', 'allowed', 'origin', 'meaning'], rows)}")
    return "\n\n".join(parts)


def sweepable() -> str:
    from hpcmass.config.experiment import SWEEPABLE

    return ", ".join(f"`{name}`" for name in SWEEPABLE)


def format_version() -> str:
    return f"This page describes version **{'.'.join(map(str, schema.FORMAT_VERSION))}**."


def sweep_variables() -> str:
    return _variables(schema.SWEEP_VARIABLES)


def spike_variables() -> str:
    return _variables(schema.SPIKE_VARIABLES)


def comparison_variables() -> str:
    return _variables(schema.COMPARISON_VARIABLES)


def _variables(variables: dict[str, schema.Variable]) -> str:
    def text(v: schema.Variable) -> str:
        flags = "" if v.flag_meanings is None else ", ".join(f"{k} {m}" for k, m in enumerate(v.flag_meanings.split()))
        return _cell(v.long_name + (f" ({flags})" if flags else ""))

    rows = [[f"`{v.name}`", ", ".join(v.dims), v.dtype, v.unit, text(v)] for v in variables.values()]
    return _table(["variable", "dimensions", "type", "unit", "meaning"], rows)


def command_line() -> str:
    """The help of every subcommand, as the terminal shows it at 100 columns."""
    top = make_parser()
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    parts = [f"```text\n{_help(top)}```"]
    parts += [f"## {name}\n\n```text\n{_help(parser)}```" for name, parser in commands.choices.items()]
    return "\n\n".join(parts)


def _help(parser: argparse.ArgumentParser) -> str:
    shape = parser.formatter_class
    parser.formatter_class = lambda prog: shape(prog, width=100)  # type: ignore[assignment]
    return parser.format_help()


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


GENERATED = {
    function.__name__: function
    for function in (
        configuration, sweepable, format_version, sweep_variables, spike_variables, comparison_variables, command_line,
    )
}  # fmt: skip
