"""Draw the pictures of README and guide again, from the results of `make run`; `make figures` draws the other ones.

    make run
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
        refinement = [str(ROOT / "analysis" / "refinement.py"), str(results / "refinement")]
        subprocess.run([sys.executable, *refinement, "-o", str(made / "refinement.png")], check=True)
        with_few_colours(made / "refinement.png", images / "refinement.png")
        page = results / "quickstart-maps" / "report.html"
        picture(page, "#show=rho&of=CFM|MFM&at=0.2,0.8", (1440, 1256), "#explorer", made / "explorer.png")
        with_few_colours(made / "explorer.png", images / "explorer.png")


if __name__ == "__main__":
    main()
