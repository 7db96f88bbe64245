# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in containers, over the API server's websocket.

Own connection instead of `kubernetes.stream`: that one swaps a method of the shared client (not safe with many pods at
once), knows no time-out and drops impersonation headers.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import base64
import contextlib
import json
import selectors
import ssl
import threading
import time
import typing as t
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    InvalidInput,
    NotReady,
    Unreachable,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.request_retries import (
    NOT_DONE,
    STRANGE,
    STRANGE_TRIES,
    RequestRetries,
    reason_of,
)

# Ansible loads every module_utils file without third-party libraries; run_module says that they are missing.
with contextlib.suppress(ImportError):
    import websocket

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

STDIN, STDOUT, STDERR, ERROR = range(4)
SEND_SECONDS = 10
#: How long a command may take to be started.
CONNECT_SECONDS = 15.0
#: How long a reader may keep a writer waiting; a frame cut in two is continued at the next reading.
FRAME_SECONDS = 0.1


def lacks_program(error: ClusterError) -> bool:
    """Whether a command was not started because its container has no such program.

    Container runtimes have no code for it, only words.
    """
    return "executable file not found" in error.what or "no such file" in error.what.lower()


class Exited(t.NamedTuple):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


class Session:
    """One running command: lines may be written to its stdin while its stdout is read in another thread.

    Use as a context manager: leaving it closes the connection, which ends the command's stdin.

    Connecting is tried again as every request is. `repeat`: the command may be started a second time; without it, only
    what certainly did not start it is tried again (429, 503, a refused connection). `retries`: of tries before.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        pod: str,
        container: str,
        command: t.Sequence[str],
        *,
        repeat: bool = False,
        retries: RequestRetries | None = None,
    ) -> None:
        self.where = f"container {container} of pod {namespace}/{pod}"
        self.stderr = ""
        self.code: int | None = None
        self._failure = ""
        self._until = 0.0
        self._lock = threading.Lock()
        query = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true"), ("tty", "false")]
        url = (
            cluster.server
            + POD.path(namespace, pod, "exec")
            + "?"
            + urlencode(query + [("command", word) for word in command])
        )
        address = "ws" + url.removeprefix("http")
        self._socket = _open(cluster, address, self.where, repeat, retries or cluster.new_retries())

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._socket.close(timeout=1)

    def write(self, text: str) -> None:
        """Send text to the command's stdin."""
        try:
            with self._lock:
                self._socket.settimeout(SEND_SECONDS)
                self._socket.send_binary(bytes([STDIN]) + text.encode())
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(f"The connection to {self.where} broke: {reason_of(error)}.", do="Run again.") from error

    def lines(self, until: float, *, silence: float = 0.0, latest: float = 0.0) -> Iterator[str]:
        """Yield the lines of stdout as they come, until the command ends.

        `until` is a time.monotonic() deadline. A command that goes on printing, with less than `silence` seconds
        between two lines, may take longer, but not beyond `latest`, another time.monotonic().
        Raises NotReady when the deadline passes, Unreachable when the connection breaks before the command ended.
        """
        self._until = until
        pending: list[bytes] = []
        for data in self._stdout():
            first, *more = data.split(b"\n")
            pending.append(first)
            if more:
                complete, pending = [b"".join(pending), *more[:-1]], [more[-1]]
                for line in complete:
                    yield line.decode("utf-8", "replace")
                self._until = max(self._until, min(time.monotonic() + silence, latest))
        if rest := b"".join(pending):
            yield rest.decode("utf-8", "replace")

    def output(self, until: float) -> str:
        """Return all of stdout, without the end of its last line; `until` and errors as in `lines`.

        An Envoy's view of a large mesh has a million lines: nothing is done for each of them.
        """
        self._until = until
        return b"".join(self._stdout()).decode("utf-8", "replace").removesuffix("\n")

    def _stdout(self) -> Iterator[bytes]:
        """Yield what the command prints, as it comes. Raises like `lines`, after the last of it."""
        while self.code is None and not self._failure:
            left = self._until - time.monotonic()
            if left <= 0:
                raise NotReady(f"The command in {self.where} did not end in time.")
            try:
                if not self._readable(left):
                    continue
                with self._lock:
                    self._socket.settimeout(FRAME_SECONDS)
                    opcode, frame = self._socket.recv_data()
            except websocket.WebSocketTimeoutException:
                continue
            except (websocket.WebSocketException, OSError) as error:
                raise Unreachable(
                    f"The connection to {self.where} broke: {reason_of(error)}.", do="Run again."
                ) from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            if not frame:
                continue
            channel, data = frame[0], frame[1:]
            if channel == STDOUT:
                yield data
            elif channel == STDERR:
                self.stderr += data.decode("utf-8", "replace")
            elif channel == ERROR:
                self._end(data)
        if self._failure:
            raise ClusterError(f"The command could not be run in {self.where}: {self._failure}.")
        if self.code is None:
            raise Unreachable(f"The connection to {self.where} closed before the command ended.", do="Run again.")

    def _readable(self, seconds: float) -> bool:
        """Wait, without the lock, until there is something to read: two threads must not share a TLS connection."""
        connection = self._socket.sock
        if connection is None:
            raise websocket.WebSocketConnectionClosedException("it is closed")
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _end(self, data: bytes) -> None:
        try:
            status = json.loads(data)
            if status.get("status") == "Success":
                self.code = 0
            elif status.get("reason") == "NonZeroExitCode":
                self.code = int(status["details"]["causes"][0]["message"])
            else:
                self._failure = str(status.get("message") or status)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Unreachable(
                f"How the command in {self.where} ended cannot be read from the API server's answer.", do="Run again."
            ) from error


def run(
    cluster: Cluster,
    namespace: str,
    pod: str,
    container: str,
    command: t.Sequence[str],
    *,
    seconds: float = 30,
    repeat: bool = True,
) -> Exited:
    """Run a command to its end and return its exit code and output. Raises NotReady after `seconds`.

    `repeat`: it may run twice, because it only reads: then a connection that breaks on the way is tried again, too.
    """
    retries = cluster.new_retries()
    while True:
        with Session(cluster, namespace, pod, container, command, repeat=repeat, retries=retries) as session:
            try:
                stdout = session.output(time.monotonic() + seconds)
            except Unreachable as error:
                if repeat and retries.again("connection broken"):
                    continue
                if retries.tries < 2:
                    raise
                raise Unreachable(f"{error.what} It was tried {retries.tries_text()}.", do=error.do) from error
            return Exited(session.code or 0, stdout, session.stderr)


def proxy_auth(proxy: SplitResult, headers: t.Mapping[str, str]) -> tuple[str, str] | None:
    """Return user and password for the proxy: from its `Proxy-Authorization` header (option proxy_headers), else from
    its URL; None without any. Raises InvalidInput for a header that is not Basic, which a websocket cannot send.
    """
    given = next((value for name, value in headers.items() if name.lower() == "proxy-authorization"), "")
    if given:
        scheme, _space, encoded = given.partition(" ")
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            user = colon = password = ""
        if scheme.lower() != "basic" or not colon:
            raise InvalidInput(
                "The proxy's Proxy-Authorization header is not Basic: commands in pods cannot be run through it.",
                do="Give proxy_headers.proxy_basic_auth as user:password.",
            )
        return user, password
    return (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None


def _open(cluster: Cluster, url: str, where: str, repeat: bool, retries: RequestRetries) -> websocket.WebSocket:
    """Connect, and start the command with it."""
    path = urlsplit(url).path
    while True:
        try:
            return _connect(cluster, url, min(CONNECT_SECONDS, max(1.0, retries.left)))
        except websocket.WebSocketBadStatusException as error:
            failure = cluster.failure("create", path, error.status_code, error.resp_body or b"")
            if error.status_code == 401 and cluster.renewed(retries):
                continue
            # A proxy's page in place of the API: nobody knows whether the command was started.
            if repeat and error.status_code < 300:
                enough = retries.reasons.count(STRANGE) >= STRANGE_TRIES - 1 and not cluster.restoring
                if not enough and retries.again(STRANGE):
                    continue
            # A kubelet that does not answer may be on a node that is lost: asked again, but not to the end.
            far = b"dialing backend" in (error.resp_body or b"") and not cluster.restoring
            enough = far and retries.tries >= STRANGE_TRIES - 1
            if isinstance(failure, Unreachable) and (repeat or error.status_code in NOT_DONE) and not enough:
                if retries.again(f"answer {error.status_code}"):
                    continue
                failure = cluster.failure("create", path, error.status_code, error.resp_body or b"", retries)
            raise failure from error
        except (websocket.WebSocketException, OSError) as error:
            refused = isinstance(error, ConnectionRefusedError)
            # Neither a certificate nor a proxy that wants a password does better the next time.
            lasting = isinstance(error, (ssl.SSLCertVerificationError, websocket.WebSocketProxyException))
            passes = not lasting and (repeat or refused)
            if passes and retries.again(reason_of(error)):
                continue
            tries = f" {retries.tries_text()}" if retries.tries > 1 else ""
            raise Unreachable(
                f"No connection to {where}{tries}: {reason_of(error)}.", do="Check the API server, then run again."
            ) from error


def _connect(cluster: Cluster, url: str, seconds: float) -> websocket.WebSocket:
    configuration = cluster.configuration
    tls: dict[str, t.Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
    if configuration.verify_ssl and configuration.ssl_ca_cert:
        tls["ca_certs"] = configuration.ssl_ca_cert
    if not configuration.verify_ssl:
        tls["check_hostname"] = False
    if configuration.cert_file:
        tls |= {"certfile": configuration.cert_file, "keyfile": configuration.key_file}
    if getattr(configuration, "tls_server_name", None):
        tls["server_hostname"] = configuration.tls_server_name
    proxy: dict[str, t.Any] = {}
    if configuration.proxy:
        parts = urlsplit(configuration.proxy)
        proxy = {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port, "proxy_type": "http"}
        if configuration.no_proxy:
            proxy["http_no_proxy"] = configuration.no_proxy.split(",")
        if auth := proxy_auth(parts, configuration.proxy_headers or {}):
            proxy["http_proxy_auth"] = auth
    connection: t.Any = websocket.WebSocket(sslopt=tls, enable_multithread=True)
    connection.settimeout(seconds)
    try:
        connection.connect(
            url,
            header=[f"{name}: {value}" for name, value in cluster.headers().items() if name != "Accept"],
            subprotocols=["v4.channel.k8s.io"],
            redirect_limit=0,  # It would send the credentials wherever it is sent itself.
            **proxy,
        )
    except websocket.WebSocketException:
        _refuse_redirect(cluster, connection, url)
        raise
    _refuse_redirect(cluster, connection, url)
    return t.cast("websocket.WebSocket", connection)


def _refuse_redirect(cluster: Cluster, connection: t.Any, url: str) -> None:
    """Raise ClusterError when the answer sends to another address; some versions of the library call that connected."""
    status = connection.handshake_response.status if connection.handshake_response else 0
    if 300 <= status < 400:
        connection.shutdown()
        raise ClusterError(
            f"What answered {urlsplit(url).path} at {cluster.server} sends to another address ({status}). It is not"
            " followed, because the credentials would go there, too.",
            do="Check the address in the kubeconfig: is there a proxy or a login page in front of the API server?",
            status=status,
        )
