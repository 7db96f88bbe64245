# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The istiod oracle as a Python object: meshes in, what istiod tells each client out.

Questions and answers are described in istiod/README.md. The Go program is built by `tools/oracle.py build` or by the
first Oracle.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

from meshops_sandbox.build import PlainReport, ensure_oracle

Json = dict[str, t.Any]


class OracleError(Exception):
    """The oracle gave no answer. `unanswered` are the questions it had been asked and did not answer."""

    def __init__(self, sentence: str, unanswered: t.Sequence[Json]) -> None:
        super().__init__(sentence)
        self.unanswered = list(unanswered)


class Oracle:
    """One process per Istio line and environment; it is started by the first question and again after it has died.

    line: "1.31"; env: istiod's feature variables; workers: meshes computed at once; timeout: seconds without any answer
    after which the process counts as stuck.
    """

    def __init__(
        self,
        line: str | None = None,
        env: t.Mapping[str, str] | None = None,
        *,
        workers: int = 4,
        timeout: float = 120,
        program: Path | None = None,
    ) -> None:
        self.line = line
        self.env = dict(env or {})
        self.workers = workers
        self.timeout = timeout
        self.program = program or ensure_oracle(line, report=PlainReport())
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes | None] = queue.Queue(maxsize=4 * workers)
        self._stderr: t.IO[bytes] | None = None

    def ask(self, meshes: t.Iterable[Json]) -> list[Json]:
        """Return the answers in the order of the meshes. Raises OracleError when the process dies or hangs; what istiod
        says against one mesh is in that answer's "error"."""
        fields = dict(self.stream(meshes))
        return [fields[number] for number in range(len(fields))]

    def stream(self, meshes: t.Iterable[Json]) -> t.Iterator[tuple[int, Json]]:
        """Yield (number of the mesh, answer) as they come. Meshes are taken from the iterable no faster than they are
        answered; it is read in another thread."""
        process = self._running()
        waiting: dict[int, Json] = {}
        asked = threading.Event()
        room = threading.Semaphore(8 * self.workers)
        problem: list[BaseException] = []
        stopping = threading.Event()

        def feed() -> None:
            try:
                for number, mesh in enumerate(meshes):
                    while not room.acquire(timeout=0.5):
                        if stopping.is_set():
                            return
                    if stopping.is_set():
                        return
                    waiting[number] = mesh
                    line = json.dumps({**mesh, "id": str(number)}, separators=(",", ":"))
                    assert process.stdin is not None
                    process.stdin.write(line.encode() + b"\n")
                    process.stdin.flush()
            except BrokenPipeError:
                pass  # it has died; the reader says so
            except BaseException as error:  # of the caller's iterable
                problem.append(error)
            finally:
                asked.set()

        feeder = threading.Thread(target=feed, name="oracle-questions", daemon=True)
        feeder.start()
        complete = False
        try:
            # A number leaves `waiting` only here, and the feeder sets `asked` after the last one got in.
            while not (asked.is_set() and not waiting):
                line = self._next_answer(asked, waiting)
                if line is None:
                    break
                answer = json.loads(line)
                number = int(answer["id"])
                answer["id"] = waiting.pop(number).get("id", str(number))
                room.release()
                yield number, answer
            complete = not problem
        finally:
            stopping.set()
            if not complete:
                self.close()
            feeder.join(timeout=10)
        if problem:
            raise problem[0]

    def validate(self, objects: t.Sequence[Json]) -> list[Json]:
        """Return {"errors": […], "warnings": […]} of istiod's own validation for each object."""
        (answer,) = self.ask([{"validate": list(objects)}])
        if answer["error"]:
            raise OracleError(answer["error"], [{"validate": list(objects)}])
        return t.cast("list[Json]", answer["validations"])

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait(timeout=30)
        if process.stdin:
            with contextlib.suppress(OSError):
                process.stdin.close()
        # Its reader may be waiting for room; it ends with the last line.
        with contextlib.suppress(queue.Empty):
            while self._answers.get(timeout=10) is not None:
                pass
        self._answers = queue.Queue(maxsize=4 * self.workers)

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _next_answer(self, asked: threading.Event, waiting: dict[int, Json]) -> bytes | None:
        """The next line; None when nothing is left to wait for."""
        spent = 0.0
        while True:
            try:
                line = self._answers.get(timeout=0.2)
            except queue.Empty:
                if not waiting:
                    if asked.is_set():
                        return None
                    continue  # the caller's iterable takes its time
                spent += 0.2
                if spent < self.timeout:
                    continue
                left = list(waiting.values())
                raise OracleError(
                    f"istiod's oracle gave no answer for {self.timeout:.0f} s, with {len(left)} meshes asked; its last "
                    f"words: {self._last_words()}",
                    left,
                ) from None
            if line is None:
                assert self._process is not None
                status = self._process.wait(timeout=30)
                left = list(waiting.values())
                raise OracleError(
                    f"istiod's oracle ended with status {status} with {len(left)} meshes unanswered; its last words: "
                    f"{self._last_words()}",
                    left,
                )
            return line

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        if self._stderr is not None:
            self._stderr.close()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the next process
        # Of the caller's environment only what istiod does not read.
        own = {
            name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "GOGC", "GOMAXPROCS") if name in os.environ
        }
        process = subprocess.Popen(
            [str(self.program), "-workers", str(self.workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**own, **self.env},
        )
        answers = self._answers

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put(None)

        threading.Thread(target=read, name="oracle-answers", daemon=True).start()
        self._process = process
        return process

    def _last_words(self) -> str:
        if self._stderr is None:
            return "none"
        self._stderr.seek(0)
        text = self._stderr.read().decode("utf-8", "replace").strip()
        return text[:1500] or "none"
