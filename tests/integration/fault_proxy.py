# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of the real API server that answers some requests with faults.

It speaks TLS on both sides and passes websockets (exec) on. A client that brings a token is passed on with it, any
other acts as the user of the kubeconfig that the proxy was started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import re
import ssl
import threading
import typing as t
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import kubernetes
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: The token of clients that act as the proxy's own user: without any, kubectl would ask for a name.
_OWN_USER = "own-user-of-the-fault-proxy"
#: How long a command in a pod may take whose end nobody hears of.
COMMAND_SECONDS = 10
#: Between two hops; the proxy makes its own.
_HOP = {"host", "connection", "content-length", "transfer-encoding", "upgrade", "content-encoding", "accept-encoding"}


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` (or `*`) whose path and query match the regular expression.

    `after`: so many of them go through first. In this order: `before` is called, `delay` seconds pass, the connection
    is `reset`, `status` is answered, or a page of `html` that is no API's. Without these the real answer follows, and
    when the server has done it `done` is called; unless the answer is `lost` (the client never hears of it), or only
    `half` of it comes. A command in a pod is done when it has ended.
    """

    method: str
    path: str
    status: int = 0
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, t.Any] | None = None
    before: t.Callable[[], object] | None = None
    done: t.Callable[[], object] | None = None
    delay: float = 0
    reset: bool = False
    lost: bool = False
    half: bool = False
    html: bool = False
    after: int = 0


#: Kind of fault → the fields of a Fault. One request meets it, the next goes through: patience is enough.
PASSING: dict[str, dict[str, t.Any]] = {
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "500": {"status": 500},
    "503": {"status": 503},
    "401": {"status": 401},
    "cut before": {"reset": True},
    "cut after": {"lost": True},
    "half an answer": {"half": True},
    "late, then cut after": {"delay": 3, "lost": True},
    "HTML": {"html": True},
}


class FaultProxy:
    """`kubeconfig` leads through the proxy; `add()` arms a fault; `seen` holds "METHOD path" of every request."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self._directory = directory
        self._upstream = kubernetes.client.Configuration()
        load: t.Callable[..., None] = kubernetes.config.load_kube_config
        load(str(kubeconfig), client_configuration=self._upstream)
        self.server = str(self._upstream.host).rstrip("/")
        self._certificate = directory / "proxy.pem"
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._is_shut = False
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="fault proxy")
        self._thread.start()
        self.url = f"https://127.0.0.1:{started.result(timeout=20)}"
        self.kubeconfig = self.kubeconfig_for(None)

    def add(self, method: str, path: str, **more: t.Any) -> Fault:
        """Arm a fault; see Fault."""
        fault = Fault(method, path, **more)
        self.faults.append(fault)
        return fault

    def kubeconfig_for(self, token: str | None) -> Path:
        """Write a kubeconfig through the proxy, for the bearer of a token or for the proxy's own user."""
        path = self._directory / f"through-the-proxy-{len(list(self._directory.glob('through-*')))}.yaml"
        cluster = {"server": self.url, "certificate-authority": str(self._certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "proxy", "user": {"token": token or _OWN_USER}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def count(self, method: str, path: str) -> int:
        """Return how many requests of a method had a path that matches."""
        return sum(line.startswith(f"{method} ") and bool(re.search(path, line)) for line in self.seen)

    def shut(self, seconds: float) -> None:
        """Refuse all new connections for so long, and cut those that are open."""
        done: Future[None] = Future()

        async def reopen() -> None:
            await asyncio.sleep(seconds)
            self._is_shut = False
            await self._listen(int(self.url.rpartition(":")[2]))

        async def shut() -> None:
            self._is_shut = True
            for site in self._runner.sites:
                await site.stop()
            self._reopening = asyncio.ensure_future(reopen())
            done.set_result(None)

        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(shut()))
        done.result(timeout=20)

    def close(self) -> None:
        """Stop serving; open connections are cut."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=20)

    def _take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.seen.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times and fault.method in (method, "*") and re.search(fault.path, path):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _serve(self, started: Future[int]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            runner = self._loop.run_until_complete(self._start(started))
        except BaseException as error:
            started.set_exception(error)
            raise
        self._loop.run_forever()
        self._loop.run_until_complete(self._sessions[True].close())
        self._loop.run_until_complete(self._sessions[False].close())
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _start(self, started: Future[int]) -> web.AppRunner:
        # With the client certificate of the kubeconfig, and without: a certificate would win over a token.
        self._sessions = {
            own: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._upstream_tls(own), limit=0), auto_decompress=False
            )
            for own in (True, False)
        }
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self._make_certificate())
        await self._listen(0)
        started.set_result(runner.addresses[0][1])
        return runner

    async def _listen(self, port: int) -> None:
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self._tls, reuse_address=True).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self._take(request.method, request.path_qs)
        if fault and fault.before:
            await asyncio.get_running_loop().run_in_executor(None, fault.before)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if (fault and fault.reset) or self._is_shut:
            return _cut(request)
        if fault and fault.status:
            status = {"kind": "Status", "message": "a fault of the test", "code": fault.status, **(fault.body or {})}
            return web.json_response(status, status=fault.status, headers=fault.headers)
        if fault and fault.html:
            page = "<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"
            return web.Response(text=page, content_type="text/html")
        own = request.headers.get("Authorization") == f"Bearer {_OWN_USER}"
        dropped = _HOP | {"authorization"} if own else _HOP
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in dropped]
        if own:
            settings: t.Any = self._upstream.auth_settings()
            headers += [(setting["key"], setting["value"]) for setting in settings.values()]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request, own, headers, fault)
        session, url = self._sessions[own], self.server + request.path_qs
        async with session.request(request.method, url, data=body or None, headers=headers) as got:
            answer = await got.read()
            if fault and fault.done:
                await asyncio.get_running_loop().run_in_executor(None, fault.done)
            if fault and fault.lost:
                return _cut(request)
            if fault and fault.half:
                return await _half(request, answer)
            passed_headers = {
                name: value for name, value in got.headers.items() if name.lower() not in _HOP - {"content-encoding"}
            }
            return web.Response(status=got.status, body=answer, headers=passed_headers)

    async def _websocket(
        self, request: web.Request, own: bool, headers: list[tuple[str, str]], fault: Fault | None
    ) -> web.StreamResponse:
        protocols = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word]
        headers = [(name, value) for name, value in headers if not name.lower().startswith("sec-websocket")]
        url = self.server + request.path_qs
        try:
            far = await self._sessions[own].ws_connect(url, protocols=protocols, headers=headers, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status, text=error.message)
        if fault and (fault.lost or fault.done):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMMAND_SECONDS):
                    async for _message in far:
                        pass
            if fault.done:
                await asyncio.get_running_loop().run_in_executor(None, fault.done)
            if fault.lost:
                return _cut(request)
        near = web.WebSocketResponse(protocols=protocols, max_msg_size=0)
        await near.prepare(request)
        if fault and fault.half:
            first = await far.receive()
            if first.type == aiohttp.WSMsgType.BINARY:
                await near.send_bytes(first.data[: 1 + len(first.data) // 2])
            return _cut(request)

        async def relay(source: t.Any, target: t.Any) -> None:
            async for message in source:
                if message.type == aiohttp.WSMsgType.BINARY:
                    await target.send_bytes(message.data)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    await target.send_str(message.data)
            await target.close()

        await asyncio.gather(relay(near, far), relay(far, near), return_exceptions=True)
        return near

    def _upstream_tls(self, own: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._upstream.ssl_ca_cert)
        if own and self._upstream.cert_file:
            context.load_cert_chain(self._upstream.cert_file, self._upstream.key_file)
        return context

    def _make_certificate(self) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fault proxy")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        self._certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        both = self._directory / "proxy-key.pem"
        both.touch(mode=0o600)
        both.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return both


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, answer: bytes) -> web.StreamResponse:
    """Promise the whole answer, send half of it, and cut the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(answer)), "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(answer[: len(answer) // 2])
    return _cut(request)
