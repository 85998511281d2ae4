"""mkdocs hooks. A picture leads to its file: a page is narrower than a figure of three maps."""

from __future__ import annotations

import re
from typing import Any

PICTURE = re.compile(r'(<img [^>]*src="([^"]+)"[^>]*>)')


def on_page_content(html: str, **_: Any) -> str:
    return PICTURE.sub(r'<a href="\2">\1</a>', html)
