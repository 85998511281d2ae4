"""Read the code that LLVM makes of the hot loops for aarch64 processors, on any machine: does it fit NEON's registers?

    python benchmarks/neon.py [--cpu neoverse-v1] [--assembly DIR]

The kernels are compiled here, their LLVM code is translated for aarch64. Prints for each innermost loop with vector
arithmetic: instructions, those that compute with vectors, and those that store vector registers on the stack or load
them from there, because they do not fit. A vector of 16 floats takes four of NEON's 32 registers.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TRIPLE = "aarch64-unknown-linux-gnu"

_LABEL = re.compile(r"^(\.?\w+):")
_BRANCH = re.compile(r"^\s+(?:b|b\.\w+|cbn?z|tbn?z)\s.*?(\.L\w+)\s*$")
_VECTOR = re.compile(r"^\s+\w+\s+v\d+\.\d+[bhsd]")
_STORE = re.compile(r"^\s+(str|stp)\s+q\d+,.*\[sp")
_LOAD = re.compile(r"^\s+(ldr|ldp)\s+q\d+,.*\[sp")


def assembly(kernel: Any, cpu: str) -> list[str]:
    """Code for another processor of each version of a compiled kernel."""
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(TRIPLE).create_target_machine(cpu=cpu, opt=3)
    texts = []
    for text in kernel.inspect_llvm().values():
        text = re.sub(r"^target (triple|datalayout) = .*$", "", text, flags=re.MULTILINE)
        text = re.sub(r'"(target-cpu|target-features|tune-cpu)"="[^"]*"', "", text)
        module = binding.parse_assembly(text)
        module.triple, module.data_layout = TRIPLE, str(machine.target_data)
        texts.append(machine.emit_assembly(module))
    return texts


def innermost_loops(text: str) -> Iterator[list[str]]:
    """Instructions of each innermost loop: from a label to the branch back to it, with no such branch between."""
    lines = [line for line in text.splitlines() if line.strip() and not re.match(r"^\s+(\.|//)", line)]
    at = {match[1]: i for i, line in enumerate(lines) if (match := _LABEL.match(line))}
    loops = [
        (at[match[1]], i)
        for i, line in enumerate(lines)
        if (match := _BRANCH.match(line)) and at.get(match[1], i + 1) <= i
    ]
    for first, last in loops:
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in loops):
            yield [line for line in lines[first : last + 1] if not _LABEL.match(line)]


def print_loops(name: str, text: str) -> None:
    """Print a line for each innermost loop with vector arithmetic."""
    number = 0
    for loop in innermost_loops(text):
        vectors, stores, loads = (sum(bool(kind.match(line)) for line in loop) for kind in (_VECTOR, _STORE, _LOAD))
        if vectors > 3:
            number += 1
            print(f"| {name} | {number} | {len(loop)} | {vectors} | {stores} | {loads} |")


def main() -> None:
    """Compile, translate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", default="generic", help="processor as LLVM names it")
    parser.add_argument("--assembly", type=Path, metavar="DIR", help="write the code of each kernel there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["NUMBA_CACHE_DIR"] = directory  # only what is compiled here can be read
        from hpcmass.config import NetworkParameters
        from hpcmass.network import delivery, lanes, neurons, simulate

        small = NetworkParameters(
            n_neurons=700, n_external=700, w_E=0.01, w_I=0.057, w_ext=0.19, duration_ms=20.0, transient_ms=5.0
        )
        simulate(small, 0.3, 0.8, (1, 2, 3, 4))
        print(f"{arguments.cpu}\n")
        print("| kernel | loop | instructions | with vectors | stores to the stack | loads from it |")
        print("|---|---|---|---|---|---|")
        for module in (lanes, neurons, delivery):
            for name, kernel in vars(module).items():
                if not getattr(kernel, "overloads", None) or kernel.py_func.__module__ != module.__name__:
                    continue
                for version, text in enumerate(assembly(kernel, arguments.cpu), 1):
                    if arguments.assembly:
                        arguments.assembly.mkdir(exist_ok=True, parents=True)
                        (arguments.assembly / f"{name}-{version}.s").write_text(text)
                    print_loops(f"{name}, version {version}", text)


if __name__ == "__main__":
    main()
