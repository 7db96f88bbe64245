# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the programs a build needs, and turning their failure into one sentence."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import typing as t
from pathlib import Path

import tenacity

from meshops_sandbox.build.artifacts import BuildError
from meshops_sandbox.time_limits import stretched

_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|TLS handshake timeout|connection re(?:fused|set)|network is unreachable"
    r"|temporary failure (?:in name resolution|resolving)|could not resolve|could not connect|NewConnectionError|Max "
    r"retries exceeded"
    r"|(?:502|503|504) (?:Bad Gateway|Service Unavailable|Gateway Time-?out)|unexpected EOF|ReadTimeout"
    # What pip says of an index that does not answer at all.
    r"|from versions: none",
    re.IGNORECASE,
)
_SPACE = re.compile(r"no space left on device|disk quota exceeded|not enough free space", re.IGNORECASE)


class Interrupted(BaseException):
    """The build was told to stop while a program ran. Not an Exception: nobody may handle it but the build itself."""


class CommandFailed(BuildError):
    """A program ended badly. `network` tells whether its output speaks of the network."""

    def __init__(self, sentence: str, log: Path, *, network: bool) -> None:
        super().__init__(sentence, log)
        self.network = network


def explain(what: str, lines: t.Sequence[str], log: Path, status: int | str) -> CommandFailed:
    """The error for a program that failed: `what` is the thing it was to do ("compiling kubernetes"), `lines` its last
    output."""
    text = "\n".join(lines)
    telling = [line.strip() for line in lines if line.strip()][-6:]
    if _SPACE.search(text):
        return CommandFailed(
            f"No space is left on the device while {what}; free some and run it again, what is finished is not "
            f"built again (log: {log}).",
            log,
            network=False,
        )
    sentence = next((line.strip() for line in reversed(lines) if _NETWORK.search(line)), None)
    if sentence:
        return CommandFailed(
            f"The network failed while {what}: {sentence[:300]}; check the connection and proxy settings and run it "
            f"again, what is finished is not built again (log: {log}).",
            log,
            network=True,
        )
    if status == -signal.SIGKILL:
        return CommandFailed(
            f"A program was killed while {what}, most likely for lack of memory (log: {log}).", log, network=False
        )
    return CommandFailed(
        f"Failed while {what} (exit status {status}): {' | '.join(telling)[-900:] or 'no output'} (log: {log}).",
        log,
        network=False,
    )


class Commands:
    """The programs of one build. They die together: by `stop`, and by the kernel when the build itself is killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = threading.Event()
        setpriv = shutil.which("setpriv")
        self._prefix = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []

    def spawn(
        self,
        argv: t.Sequence[str | Path],
        *,
        stdout: int | t.IO[bytes],
        cwd: Path | None = None,
        env: t.Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, stderr joined to stdout. Raises Interrupted after `stop`."""
        with self._lock:
            if self._stopped.is_set():
                raise Interrupted
            process = subprocess.Popen(
                [*self._prefix, *map(str, argv)],
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
            return process

    def ended(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)

    def run(
        self,
        argv: t.Sequence[str | Path],
        *,
        what: str,
        log: Path,
        cwd: Path | None = None,
        env: t.Mapping[str, str] | None = None,
        on_line: t.Callable[[str], None] | None = None,
        keep: int = 60,
        telling: t.Callable[[str], bool] = bool,
    ) -> list[str]:
        """Run a program to its end; its output goes to `log` and line by line to `on_line`. Returns the last `keep`
        lines among the `telling` ones; they are also what an error quotes.

        Raises CommandFailed with a sentence about `what` when it fails, Interrupted when the build is being stopped."""
        tail: collections.deque[str] = collections.deque(maxlen=keep)
        with log.open("ab") as file:
            file.write(f"$ {shlex.join(map(str, argv))}\n".encode())
            file.flush()
            process = self.spawn(argv, stdout=subprocess.PIPE, cwd=cwd, env=env)
            try:
                for raw in process.stdout or ():
                    file.write(raw)
                    file.flush()
                    line = raw.decode("utf-8", "replace").rstrip("\n")
                    if telling(line):
                        tail.append(line)
                    if on_line:
                        on_line(line)
                status = process.wait()
            finally:
                self.ended(process)
        if self._stopped.is_set():
            raise Interrupted
        if status:
            raise explain(what, list(tail), log, status)
        return list(tail)

    def run_with_network(
        self, argv: t.Sequence[str | Path], *, again: t.Callable[[], None] | None = None, **options: t.Any
    ) -> list[str]:
        """`run`, tried three times when the network is what fails; `again` clears the way before another try."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, CommandFailed) and error.network),
            stop=tenacity.stop_after_attempt(3),
            wait=tenacity.wait_exponential(multiplier=2, max=10),
            sleep=self.pause,
            before_sleep=(lambda _state: again()) if again else None,
            reraise=True,
        )
        return retrying(self.run, argv, **options)

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until `stop`."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """End everything that runs, children included, and let nothing new start."""
        with self._lock:
            self._stopped.set()
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=stretched(5))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
