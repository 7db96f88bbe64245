# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers: what a proxy that wants a password is sent, and what becomes of the output."""

from __future__ import annotations

import socket
import threading
import typing as t

import kubernetes
import pytest
import urllib3

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, Unreachable
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
