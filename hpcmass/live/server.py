"""A local web server for one page: 127.0.0.1 only, a secret in the address, read-only."""

from __future__ import annotations

import errno
import gzip
import json
import secrets
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from hpcmass.errors import UserError
from hpcmass.live.background import Page

HOST: Final = "127.0.0.1"

HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a browser may call this server: another name was made to point here by somebody else's web page."""

REQUEST_S: Final = 20
"""Longest time (s) that a connection may be idle."""

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

WAITING: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>hpcmass view</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem; }}</style>
</head><body><h1>{title}</h1><p id="live">{note}</p><p>The maps appear here as soon as there are some.</p>
<script>
const say = (text) => {{ document.getElementById("live").textContent = text; }};
setInterval(() => fetch("update", {{ cache: "no-store" }})
  .then((answer) => answer.json())
  .then((found) => (found.identity ? location.reload() : say(found.note)))
  .catch(() => say("The viewer has ended; its terminal says why.")), 1000);
</script></body></html>
"""
"""Until the first page is there."""


@dataclass
class Shown:
    """What the server shows; threads read it while the viewer replaces it.

    Attributes
    ----------
    title, state, note : str
    page : Page or None
        None until the first one is there.
    version : int
        Of the page.
    changed_traces, changed_spectra : list of int
        For each line, the version in which it changed last.
    """

    title: str
    state: str = "starting"
    note: str = "The file is being read."
    page: Page | None = None
    version: int = 0
    changed_traces: list[int] = field(default_factory=list)
    changed_spectra: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, state: str, note: str) -> None:
        """Change the state and its sentence."""
        with self.lock:
            self.state, self.note = state, note

    def replace(self, page: Page) -> None:
        """Show another page."""
        with self.lock:
            version = self.version + 1
            old = self.page if self.page is not None and self.page.identity == page.identity else None
            traces, spectra = (old.traces, old.spectra) if old else ([], [])
            self.changed_traces = _changes(traces, page.traces, self.changed_traces, version)
            self.changed_spectra = _changes(spectra, page.spectra, self.changed_spectra, version)
            self.page, self.version = page, version

    def html(self) -> str:
        """The whole page."""
        with self.lock:
            page, note = self.page, self.note
        if page is None:
            return WAITING.format(title=_escaped(self.title), note=_escaped(note))
        before, numbers, traces, spectra, after = page.pieces
        parts = [before, page.data, numbers, page.numbers, traces, "\n".join(page.traces), spectra,
                 "\n".join(page.spectra), after]  # fmt: skip
        return "".join(parts)

    def update(self, since: str, identity: str) -> str:
        """What changed after a version, as JSON; only the state if nothing did, or if the page is another one."""
        with self.lock:
            page, version = self.page, self.version
            traces, spectra = self.changed_traces, self.changed_spectra
            found: dict[str, Any] = {"version": str(version), "state": self.state, "note": self.note}
        found["identity"] = page.identity if page else ""
        if page is None or identity != page.identity or since == str(version):
            return json.dumps(found)
        first = int(since) if since.isdecimal() else 0
        found |= {
            "data": json.loads(page.data),
            "numbers": page.numbers,
            "traces": [[k, line] for k, line in enumerate(page.traces) if traces[k] > first],
            "spectra": [[k, line] for k, line in enumerate(page.spectra) if spectra[k] > first],
            "html": "".join(page.pieces),
        }
        return json.dumps(found)


def _changes(old: list[str], new: list[str], changed: list[int], version: int) -> list[int]:
    """The version in which each line changed last."""
    if len(old) != len(new):
        return [version] * len(new)
    return [last if a == b else version for a, b, last in zip(old, new, changed, strict=True)]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


class Server(ThreadingHTTPServer):
    """The server; `serve_forever` in a thread, `shutdown` at the end.

    Parameters
    ----------
    shown : Shown
    port : int
        0 for any that is free.

    Attributes
    ----------
    token : str
        The secret in the address.

    Raises
    ------
    UserError
        If the port cannot be used.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, shown: Shown, port: int = 0) -> None:
        self.shown = shown
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else "cannot be used"
            raise UserError(f"port {port} {why}; give another --port, or none for any that is free") from None

    @property
    def port(self) -> int:
        """The port that it listens to."""
        return int(self.server_address[1])

    @property
    def link(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection is no error."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for whoever knows the secret."""

    server: Server
    server_version, sys_version = "hpcmass", ""
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S

    def do_GET(self) -> None:
        """Answer with the page, or with what changed since a version."""
        host = self.headers.get("Host", "").rpartition(":")
        name = host[0] if host[2].isdecimal() else self.headers.get("Host", "")
        if name not in HOSTS:
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost only")
            return
        address = urlsplit(self.path)
        token, _, rest = address.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the link is not complete; copy it from the terminal of hpcmass view")
        elif rest == "" and address.path.endswith("/"):
            self._send(HTTPStatus.OK, "text/html", self.server.shown.html())
        elif rest == "update":
            asked = parse_qs(address.query)
            since, identity = (asked.get(key, [""])[0] for key in ("since", "of"))
            self._send(HTTPStatus.OK, "application/json", self.server.shown.update(since, identity))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")

    do_HEAD = do_GET

    def _refuse_method(self) -> None:
        self.close_connection = True  # what follows may be the body, which is not read
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "this server can only be read")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, "text/plain", f"{why}\n")

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        packed = len(content) > 1000 and "gzip" in self.headers.get("Accept-Encoding", "")
        if packed:
            content = gzip.compress(content, 1)
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if packed:
            self.send_header("Content-Encoding", "gzip")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""
