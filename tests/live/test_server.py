"""The local server: who may read, what is read."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from hpcmass.errors import UserError
from hpcmass.live.background import Page
from hpcmass.live.server import Server, Shown


def page(*traces: str, identity: str = "a") -> Page:
    """A page with these curves."""
    return Page(("<p>", "</p><p>", "</p><p>", "</p><p>", "</p>"), '{"n":1}', "NUMBERS", list(traces), ["S"], identity)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Shown("a <b>.h5")) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_the_link_opens_the_page(server: Server) -> None:
    own = f"/{server.token}/"
    assert server.link == f"http://127.0.0.1:{server.port}{own}"
    status, headers, content = ask(server, own)
    assert status == 200
    assert b"a &lt;b>.h5" in content
    assert headers["Cache-Control"] == "no-store"
    server.shown.replace(page("A", "B"))
    assert ask(server, own)[2] == b'<p>{"n":1}</p><p>NUMBERS</p><p>A\nB</p><p>S</p>'


@pytest.mark.parametrize("path", ["/", "/update", "/wrong/", "/wrong/update?since=0", "//", "/%00/", "/é/"])
def test_without_the_token_nothing_is_read(path: str, server: Server) -> None:
    server.shown.replace(page("A"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"NUMBERS" not in answer


def test_part_of_the_token_is_not_enough(server: Server) -> None:
    assert ask(server, f"/{server.token[:-1]}/")[0] == 403
    assert ask(server, f"/{server.token}x/")[0] == 403
    assert ask(server, f"/{server.token}/other")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(method: str, server: Server) -> None:
    status, headers, _ = ask(server, f"/{server.token}/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_no_body(server: Server) -> None:
    status, headers, content = ask(server, f"/{server.token}/", "HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1234", 200), ("localhost:80", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example:80", 403),
     ("127.0.0.1.evil.example", 403), ("", 403)],
)  # fmt: skip
def test_another_name_for_this_machine_is_refused(host: str, status: int, server: Server) -> None:
    assert ask(server, f"/{server.token}/", Host=host)[0] == status


def test_only_this_machine_can_connect(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use(server: Server) -> None:
    with pytest.raises(UserError, match=f"port {server.port} is in use; give another --port"):
        Server(Shown("b.h5"), server.port)


def test_an_update_has_only_what_changed(server: Server) -> None:
    shown = server.shown
    shown.replace(page("A", "B", "C"))
    shown.say("running", "one trial")
    assert json.loads(shown.update("1", "a")) == {
        "version": "1", "state": "running", "note": "one trial", "identity": "a",
    }  # fmt: skip
    shown.replace(page("A", "b", "C"))
    shown.replace(page("A", "b", "c"))
    assert json.loads(shown.update("1", "a"))["traces"] == [[1, "b"], [2, "c"]]
    found = json.loads(shown.update("2", "a"))
    assert found["traces"] == [[2, "c"]]
    assert (found["spectra"], found["numbers"], found["data"]) == ([], "NUMBERS", {"n": 1})
    assert "data" not in json.loads(shown.update("3", "a"))
    assert len(json.loads(shown.update("nonsense", "a"))["traces"]) == 3


def test_another_grid_is_another_page(server: Server) -> None:
    server.shown.replace(page("A", "B"))
    server.shown.replace(page("A", identity="b"))
    found = json.loads(server.shown.update("1", "a"))
    assert found["identity"] == "b"
    assert "data" not in found
    assert server.shown.changed_traces == [2]


def test_long_answers_are_compressed(server: Server) -> None:
    server.shown.replace(page("A" * 100_000))
    _, headers, content = ask(server, f"/{server.token}/", **{"Accept-Encoding": "gzip, br"})
    assert headers["Content-Encoding"] == "gzip"
    assert len(content) < 2000
    assert b"A" * 100_000 in gzip.decompress(content)
