"""What the documentation takes from the program itself: tables written into its pages, so that they cannot differ.

    python scripts/docs_generate.py            writes them
    python scripts/docs_generate.py --check    says which page is behind, exit code 1

A page marks the place with a pair of lines, `<!-- generated: NAME -->` and `<!-- end of generated -->`; what is between
them is what the function of that name returns.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import hpcmass.config.reference as reference
from hpcmass.cli import make_parser
from hpcmass.store import schema

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)
HEADING = re.compile(r"^(#+ )", re.MULTILINE)


def configuration() -> str:
    sections = ("grid", "network", "mass", "compare", "traces")
    titles = {"": "The file itself", **{name: f"`{name}`" for name in sections}}
    parts = []
    for section, title in titles.items():
        rows = [
            [f"`{key.name}`", f"`{key.value}`", key.unit, _cell(key.allowed), key.origin, _cell(key.meaning)]
            for key in reference.all_keys()
            if key.section == section
        ]
        parts.append(f"### {title}\n\n{_table(['key', 'default', 'unit', 'allowed', 'origin', 'meaning'], rows)}")
    return "\n\n".join(parts)


def sweepable() -> str:
    from hpcmass.config.network import SWEEPABLE

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


def walkthrough() -> str:
    """The notebook's text and code."""
    notebook = json.loads((ROOT / "analysis" / "walkthrough.ipynb").read_text(encoding="utf-8"))
    cells = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        cells.append(HEADING.sub(r"#\1", source) if cell["cell_type"] == "markdown" else f"```py\n{source}\n```")
    return "\n\n".join(cells[1:])


GENERATED = {
    function.__name__: function
    for function in (
        configuration, sweepable, format_version, sweep_variables, spike_variables, comparison_variables, command_line,
        walkthrough,
    )
}  # fmt: skip


def generated(page: str) -> str:
    """A page with its generated parts made again."""
    return PLACE.sub(lambda found: f"{found[1]}\n{GENERATED[found[2]]()}\n\n{found[3]}", page)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is behind")
    options = parser.parse_args()
    behind = []
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = path.read_text(encoding="utf-8")
        now = generated(page)
        if now != page:
            behind.append(str(path.relative_to(ROOT)))
            if not options.check:
                path.write_text(now, encoding="utf-8")
    if behind and options.check:
        print(f"behind the program: {', '.join(behind)}; run `make docs`", file=sys.stderr)
    return int(bool(behind) and options.check)


if __name__ == "__main__":
    sys.exit(main())
