# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers: what a proxy that wants a password is sent, and what becomes of the output."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import kubernetes
import pytest
import urllib3

from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError, InvalidInput, Unreachable
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session, run


@pytest.fixture
def proxy() -> t.Iterator[tuple[int, list[str]]]:
    """A proxy that refuses everybody, its port, and what it heard."""
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                heard.append(connection.recv(65536).decode())
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], heard


def enter(proxy: str, headers: dict[str, str] | None = None) -> None:
    configuration = kubernetes.client.Configuration()
    configuration.host = "https://api.example.com:6443"
    configuration.proxy, configuration.no_proxy, configuration.proxy_headers = proxy, "", headers
    run(Cluster(kubernetes.client.ApiClient(configuration), {}), "ns", "pod", "app", ["true"])


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ("ann:p%40ss@", None),
        ("", urllib3.util.make_headers(proxy_basic_auth="ann:p@ss")),
        ("other:x@", urllib3.util.make_headers(proxy_basic_auth="ann:p@ss", user_agent="me")),
    ],
)
def test_the_proxy_gets_user_and_password(
    proxy: tuple[int, list[str]], user: str, headers: dict[str, str] | None
) -> None:
    port, heard = proxy
    with pytest.raises(Unreachable, match="407"):
        enter(f"http://{user}127.0.0.1:{port}", headers)
    assert heard[0].startswith("CONNECT api.example.com:6443 ")
    expected = urllib3.util.make_headers(proxy_basic_auth="ann:p@ss")["proxy-authorization"]
    assert f"proxy-authorization: {expected}".lower() in heard[0].lower()


def test_without_credentials_none_are_sent(proxy: tuple[int, list[str]]) -> None:
    port, heard = proxy
    with pytest.raises(Unreachable):
        enter(f"http://127.0.0.1:{port}")
    assert "authorization" not in heard[0].lower()


@pytest.mark.parametrize("header", ["Bearer abc", "Basic ???", "Basic YW5u"])
def test_another_way_to_authenticate_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="not Basic"):
        enter("http://127.0.0.1:1", {"Proxy-Authorization": header})


@contextlib.contextmanager
def answering(answer: bytes) -> t.Iterator[tuple[str, list[str]]]:
    """A server that gives everybody the same answer: its address, and what it heard."""
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = server.accept()
                    with connection:
                        heard.append(connection.recv(65536).decode())
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def bearer(address: str) -> Cluster:
    configuration = kubernetes.client.Configuration()
    configuration.host, configuration.api_key = f"http://{address}", {"authorization": "Bearer secret-token"}
    return Cluster(kubernetes.client.ApiClient(configuration), {})


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_credentials_do_not_follow_a_redirect(status: str) -> None:
    with answering(b"HTTP/1.1 500 No\r\n\r\n") as (elsewhere, overheard):
        answer = f"HTTP/1.1 {status}\r\nLocation: ws://{elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
        with answering(answer) as (address, heard), pytest.raises(ClusterError, match="sends to another address"):
            run(bearer(address), "ns", "pod", "app", ["true"])
    assert "secret-token" in heard[0]
    assert overheard == []
    assert len(heard) == 1, "it does no better the next time"


@pytest.mark.parametrize(("repeat", "times"), [(True, 3), (False, 1)])
def test_a_page_in_place_of_the_api_is_asked_again(repeat: bool, times: int) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n<html>Please log in</html"
    with answering(page) as (address, heard), pytest.raises(ClusterError, match="is not the Kubernetes API"):
        run(bearer(address), "ns", "pod", "app", ["true"], repeat=repeat)
    assert len(heard) == times


@pytest.fixture
def printing(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Session]:
    """Return a session whose command prints these chunks."""

    def make(*chunks: bytes) -> Session:
        session = object.__new__(Session)
        monkeypatch.setattr(session, "_stdout", lambda: iter(chunks), raising=False)
        return session

    return make


CHUNKS = (b"one\ntw", b"o", b"\n\xc3", b"\xa9\n\nlast")


def test_lines_are_put_together_from_what_comes(printing: t.Callable[..., Session]) -> None:
    assert list(printing(*CHUNKS).lines(0)) == ["one", "two", "é", "", "last"]
    assert list(printing(b"one\n").lines(0)) == ["one"]
    assert list(printing().lines(0)) == []


def test_the_whole_output_is_its_lines(printing: t.Callable[..., Session]) -> None:
    assert printing(*CHUNKS).output(0) == "one\ntwo\né\n\nlast"
    assert printing(b"one\n").output(0) == "one"
    assert printing().output(0) == ""
