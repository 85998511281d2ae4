"""What guards the documentation: its commands, its links, and the tables that it takes from the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcmass.commands import COMMANDS
from hpcmass.config import NetworkParameters
from hpcmass.store.schema import COMPARISON_VARIABLES, SWEEP_VARIABLES
from programs import ROOT, load

docs_check, check_links, docs_hooks, docs_generate = (
    load(f"scripts/{name}.py") for name in ("docs_check", "check_links", "docs_hooks", "docs_generate")
)


@pytest.mark.parametrize(
    ("claimed", "actual", "good"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a", "b"], ["a"], False),
        (["a"], ["a", "b"], False),
        (["4 of 4, hash …"], ["4 of 4, hash 1f3"], True),
        (["4 of 4, hash …"], ["3 of 4, hash 1f3"], False),
        (["…", "end"], ["1", "2", "end"], True),
        (["…", "end"], ["end"], True),
        (["…", "end"], ["1", "ending"], False),
        (["a.c"], ["abc"], False),
        ([], [], True),
        ([], ["unexpected"], False),
    ],
)
def test_outputs_are_as_claimed_or_not(claimed: list[str], actual: list[str], good: bool) -> None:
    assert docs_check.matches(claimed, actual) is good


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Follow a page with this text."""
    (tmp_path / "copy").mkdir()
    reader = docs_check.Reader(tmp_path / "copy")
    monkeypatch.setattr(docs_check, "ROOT", tmp_path)

    def read(text: str) -> int:
        (tmp_path / "page.md").write_text(text)
        reader.follow("page.md")
        return reader.commands

    return read


@pytest.mark.process
def test_a_correct_page(follow) -> None:
    page = """
```text title="name.txt"
world
```

```console
$ echo hello $(cat name.txt)
hello world
$ printf '1\\n2\\n3\\n'
…
3
```

```python
print(open("name.txt").read().strip())
```

```text
world
```

<!-- not run: only for show -->
```sh
rm -rf /nowhere
```
"""
    assert follow(page) == 3


def test_a_page_gets_no_help_with_mpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    monkeypatch.setenv("MPIEXEC", "elsewhere/mpiexec")
    found = docs_check.Reader(tmp_path).environment
    assert not {"MPIEXEC", "OMP_NUM_THREADS"} & set(found)
    assert not [name for name in found if name.startswith(("OMPI_", "PRTE_"))]
    assert found["PYTHONPATH"] == str(tmp_path)


@pytest.mark.process
def test_a_block_may_run_in_a_simulators_environment(follow, tmp_path: Path) -> None:
    page = "<!-- run in the environment of fake -->\n```console\n$ python\nfake $PYTHONPATH\n```\n"
    with pytest.raises(docs_check.Wrong, match=r"there is no .venv-peers-fake; run benchmarks/peers/setup_peers.sh"):
        follow(page)
    programs = tmp_path / ".venv-peers-fake" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text("#!/bin/sh\necho fake $PYTHONPATH\n")
    (programs / "python").chmod(0o755)
    follow(page.replace("fake $PYTHONPATH", "fake"))
    with pytest.raises(docs_check.Wrong, match="does not print"):
        follow(page.split("\n", 1)[1].replace("$ python", "$ python -c 'print(1)'"))


def test_what_the_commands_leave_is_ignored_by_git(tmp_path: Path) -> None:
    reader = docs_check.Reader(tmp_path)
    given = ("trial.pdf", "first.png", "maps/lag.png", "maps/report.html", "sweep.h5", "docs/maps/lag.png", "novel.txt")
    for name in given:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert reader.left_behind() == ["docs/maps/lag.png", "novel.txt"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```console\n$ echo 1\n2\n```\n", "does not print what the page says"),
        ("```console\n$ false\n```\n", "exit code 1"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "does not print what the page says"),
        ("```python\nraise SystemExit(3)\n```\n", "exit code 3"),
        ("```sh\necho 1\n```\n", "say above why this is not run"),
        ("```\necho 1\n```\n", "say what the block is"),
        ("    hpcmass run x.yml\n", "a command outside a fenced block"),
        ("```console\noutput\n```\n", "starts with a command"),
        ("```console\n$ echo\n", "without an end"),
    ],
)
def test_a_page_that_does_not_hold(follow, page: str, message: str) -> None:
    with pytest.raises(docs_check.Wrong, match=message):
        follow(page)


def test_every_page_is_fit_to_be_checked() -> None:
    for page in ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]:
        for block in docs_check.blocks(page, (ROOT / page).read_text()):
            assert block.kind in ("console", "python", "sh", *docs_check.SHOWN), block.place


def test_dead_links(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading: with `code`\n\n## χ² between spectra\n")
    good = "[a](other.md) [b](other.md#a-heading-with-code) [c](https://nowhere.invalid/x) `[d](none.md)`\n"
    (tmp_path / "good.md").write_text(good)
    (tmp_path / "bad.md").write_text("[a](none.md) ![b](other.md#none)\n")
    assert check_links.dead_links(tmp_path / "good.md") == []
    assert [line.split(": ")[1] for line in check_links.dead_links(tmp_path / "bad.md")] == ["none.md", "other.md#none"]


def test_no_link_in_the_repository_is_dead() -> None:
    assert check_links.main([]) == 0


def test_a_picture_leads_to_its_file() -> None:
    page = docs_hooks.on_page_content('<p><img alt="a map" src="images/lag.png" /> and text</p>')
    assert page == '<p><a href="images/lag.png"><img alt="a map" src="images/lag.png" /></a> and text</p>'


def test_pages_take_their_tables_from_the_program() -> None:
    sweep, comparison = docs_generate.sweep_variables(), docs_generate.comparison_variables()
    assert all(f"| `{name}` |" in sweep for name in SWEEP_VARIABLES)
    assert all(f"| `{name}` |" in comparison for name in COMPARISON_VARIABLES)
    assert all(f"| `{name}` |" in docs_generate.configuration() for name in NetworkParameters.model_fields)
    commands = docs_generate.command_line()
    assert all(f"## {module.__name__.split('.')[-1].rstrip('_')}\n" in commands for module in COMMANDS)
    page = docs_generate.generated("a\n<!-- generated: sweep_variables -->\nold\n<!-- end of generated -->\nb\n")
    assert page == f"a\n<!-- generated: sweep_variables -->\n\n{sweep}\n\n<!-- end of generated -->\nb\n"
    used = [m[1] for p in (ROOT / "docs").rglob("*.md") for m in docs_generate.PLACE.findall(p.read_text())]
    assert sorted(used) == sorted(docs_generate.GENERATED)


def test_the_generated_parts_of_the_pages_are_up_to_date() -> None:
    behind = [p.name for p in (ROOT / "docs").rglob("*.md") if docs_generate.generated(p.read_text()) != p.read_text()]
    assert not behind, "run `make docs`"
