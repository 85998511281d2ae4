"""Draw every picture of README and documentation again, from the results of `make run` and `make medium`.

    make run medium
    python scripts/docs_pictures.py results

It simulates a plane for the picture of the refinement, 10 minutes. Look at each picture afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from browser import headless  # noqa: E402

MAPS = ("overview", "synchrony", "correlation", "lag", "chi_squared", "spectral_shape", "median_frequency")
"""Figures of `docs/results.md` that `hpcmass plot` draws."""


def picture(page: Path, view: str, size: tuple[int, int], top: str, output: Path) -> None:
    """A view of the report page, from the element `top` downwards."""
    with headless(size=size) as browser:
        browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        browser.get(page.resolve().as_uri() + view)
        browser.execute_script("document.querySelector(arguments[0]).scrollIntoView({behavior: 'instant'})", top)
        browser.get_screenshot_as_file(str(output))


def with_few_colours(source: Path, target: Path) -> None:
    """A small file: 256 colours."""
    Image.open(source).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        target, optimize=True
    )


def main() -> None:
    results, images = Path(sys.argv[1]).resolve(), ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        comparison = str(results / "medium-cmp.h5")
        maps = ["--maps", ",".join((*MAPS, "report"))]
        subprocess.run(["hpcmass", "plot", comparison, "-o", folder, "--force", *maps], check=True)
        subprocess.run([sys.executable, str(ROOT / "analysis" / "points.py"), comparison, "-o", folder], check=True)
        view = "#show=spectral_distance&of=CFM|MFM|LIN&at=0.4,0.7"
        picture(made / "report.html", view, (1440, 1450), "h1", made / "report.png")
        for name in (*MAPS, "points", "report"):
            with_few_colours(made / f"{name}.png", images / "results" / f"{name}.png")
        refinement = [str(ROOT / "analysis" / "refinement.py"), str(results / "refinement")]
        subprocess.run([sys.executable, *refinement, "-o", str(made / "refinement.png")], check=True)
        with_few_colours(made / "refinement.png", images / "refinement.png")
        page = results / "quickstart-maps" / "report.html"
        picture(page, "#show=rho&of=CFM|MFM&at=0.2,0.8", (1440, 1256), "#explorer", made / "explorer.png")
        with_few_colours(made / "explorer.png", images / "explorer.png")


if __name__ == "__main__":
    main()
