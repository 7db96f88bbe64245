# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, the shell loop (run by a real shell with a stand-in for curl) and what is read from it."""

from __future__ import annotations

import http.server
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._envoy.access_log import AccessLogEntry
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.request_loop import LOOP
from ansible_collections.meshops.locality.plugins.module_utils._module.traffic_probe import (
    Plan,
    _answer,
    _foreign,
)

PARAMS = {
    "url": "http://helloworld.sample:5000/hello",
    "requests": 20,
    "rate": 10.0,
    "timeout": 5.0,
    "answer_pattern": r"instance: (?P<pod>[\w.-]+)",
}


def test_a_plan():
    plan = Plan.of(PARAMS)
    assert (plan.host, plan.port, plan.seconds) == ("helloworld.sample", 5000, 1.9)
    assert Plan.of({**PARAMS, "url": "http://web/"}).port == 80


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "https://web/"}, "url is 'https://web/'"),
        ({"url": "web:5000"}, "url is 'web:5000'"),
        ({"url": "http://web:99999/"}, "Port out of range"),
        ({"requests": 0}, "requests is 0"),
        ({"requests": 100_001}, "requests is 100001"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"timeout": 0.0}, "timeout is 0.0"),
        ({"timeout": 301.0}, "timeout is 301.0"),
        ({"requests": 3601, "rate": 1.0}, "take 3601 seconds"),
        ({"requests": 5000, "rate": 500.0}, "up to 2500 requests wait at once"),
        ({"answer_pattern": "("}, "not a regular expression"),
        ({"answer_pattern": "x"}, "has no group"),
    ],
)
def test_options_that_cannot_be(change, says):
    with pytest.raises(InvalidInput, match=says.replace("(", r"\(")):
        Plan.of({**PARAMS, **change})


def test_few_requests_at_a_high_rate_are_allowed():
    assert Plan.of({**PARAMS, "requests": 900, "rate": 900.0}).requests == 900


@pytest.fixture
def shell(tmp_path: Path):
    """Run the loop with the lines that it is to read, and a curl made of the given lines of shell."""

    def run(lines: str, curl: str | None, *several: str) -> list[str]:
        if curl is not None:
            program = tmp_path / "curl"
            program.write_text(f"#!/bin/sh\n{curl}\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        done = subprocess.run(
            ["/bin/sh", "-c", LOOP, "sh", "run", "5", "http://web/", *several],
            input=lines.encode(),
            capture_output=True,
            timeout=20,
            env={"PATH": f"{tmp_path}:/nowhere" if curl is None else f"{tmp_path}:/usr/bin:/bin"},
            check=True,
        )
        assert done.stderr == b""
        return done.stdout.decode().removesuffix("\n").split("\n")

    return run


ANSWERING = r"""
for word in "$@"; do case $word in x-request-id:*) id=${word#x-request-id: };; esac; done
printf 'Hello version: v1, instance: pod-%s\nsecond line\n\n200 0.001234' "$id"
"""


def test_one_line_for_each_tick(shell):
    first, *lines = shell("0\n1\n2\nend\n3\n", ANSWERING)
    assert first == "ready"
    assert sorted(lines) == [
        f"{index} 0 200 0.001234 Hello version: v1, instance: pod-run-{index} second line" for index in range(3)
    ]


def test_the_end_of_stdin_ends_the_loop(shell):
    assert len(shell("0\n1\n", ANSWERING)) == 3


def test_a_failing_curl_is_reported_with_its_exit_code(shell):
    assert shell("0\nend\n", r"printf '\n000 0.250000'; exit 7")[1].strip() == "0 7 000 0.250000"


@pytest.mark.parametrize("body", ["* $(id) `id` %s%d \\n", "x" * 5000, "\t\r tab"])
def test_a_body_is_never_interpreted_and_never_long(shell, body, tmp_path):
    (tmp_path / "body").write_text(body)
    _ready, line = shell("0\nend\n", f"cat {tmp_path}/body; printf '\\n200 0.1'")
    assert line.startswith("0 0 200 0.1 ")
    assert len(line) <= 320
    if len(body) < 100:
        assert line.removeprefix("0 0 200 0.1 ").split() == body.split()


def test_many_at_once_do_not_mix_their_lines(shell):
    lines = shell("".join(f"{index}\n" for index in range(150)) + "end\n", ANSWERING)[1:]
    assert sorted(int(line.split()[0]) for line in lines) == list(range(150))
    assert all(line.endswith(f"pod-run-{line.split()[0]} second line") for line in lines)


#: A curl that knows --rate and asks as its configuration says; the request with the given number fails.
SEVERAL = r"""
case "$*" in *--version*) exit 0; esac
while read -r word _is value; do
  case $word in write-out)
    printf 'Hello from a pod\n\n  second line'
    value=${value#'"%%{stderr}\n'}; number=${value%%%% *}
    [ "$number" != run-%s ] || { echo; echo "$number 7 000 0.2"; exit 7; }
    echo; echo "$number 0 200 0.001"
  esac
done >&2
"""


def test_one_curl_asks_several(shell):
    first, *lines = shell("3 4\nend\n", SEVERAL % "none", "600", "http://web/", "3")
    assert first == "ready for several"
    answers = [f"{index} 0 200 0.001 Hello from a pod   second line" for index in range(3, 7)]
    assert lines == ["several 3", *answers[:3], "several 1", *answers[3:], "ended 3"]


def test_one_curl_ends_with_the_first_request_that_fails(shell):
    _first, *lines = shell("3 4\nend\n", SEVERAL % 4, "600", "http://web/", "5")
    assert [line.split()[:2] for line in lines] == [["several", "2"], ["3", "0"], ["4", "7"], ["ended", "3"]]


def test_a_curl_that_is_too_old_is_not_asked_for_several(shell):
    old = 'case "$*" in *--rate*) exit 2; esac\n' + ANSWERING
    assert shell("0\nend\n", old, "600", "http://web/")[0] == "ready"


@pytest.mark.parametrize(("line", "requests"), [("0", 1), ("0 3", 3)])
@pytest.mark.parametrize("query", ["?[1-50]", "?{a,b}", "?a=[x"])
def test_brackets_are_sent_and_not_expanded(line: str, requests: int, query: str) -> None:
    """The real curl asked 50 times for each request."""
    asked: list[str] = []

    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_unused: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{query}"
        words = ["/bin/sh", "-c", LOOP, "sh", "run", "5", url, "6000", url, "1"]
        subprocess.run(words, input=f"{line}\nend\n".encode(), capture_output=True, timeout=30, check=True)
        server.shutdown()
    assert asked == [f"/{query}"] * requests


def test_without_curl_it_says_so(shell):
    assert shell("0\nend\n", None) == ["no-curl"]


def test_reading_a_line():
    plan = Plan.of(PARAMS)
    answer = _answer("1 0 200 0.002500 Hello version: v1, instance: web-a-7f-x2 more", [5.0, 5.25], plan)
    assert (answer.index, answer.sent, answer.code, answer.curl, answer.pod) == (1, 0.25, 200, 0, "web-a-7f-x2")
    assert _answer("0 28 000 5.001 ", [5.0], plan).outcome == "curl 28"
    assert _answer("0 0 200 0.1 something else", [5.0], plan).pod == ""
    unnamed = Plan.of({**PARAMS, "answer_pattern": r"host=(\S+)"})
    assert _answer("0 0 200 0.1 host=web-b", [5.0], unnamed).pod == "web-b"


@pytest.mark.parametrize("line", ["", "sh: out of memory", "7 0 200 0.1 x", "0 0"])
def test_a_line_that_is_no_result(line):
    with pytest.raises(NotReady, match="not a result"):
        _answer(line, [5.0], Plan.of(PARAMS))


def logged(request_id: str, second: int, cluster: str = "c") -> AccessLogEntry:
    return AccessLogEntry(request_id, "a:1", cluster, 200, "", 1, f"2026-11-23T00:00:{second:02d}.000Z", "/")


def test_requests_of_others_are_told_from_those_at_the_edges():
    own = {0: logged("run-0", 10), 1: logged("run-1", 20)}
    early, inside, late = logged("x", 9), logged("y", 15), logged("z", 21)
    elsewhere = logged("w", 15, cluster="other")
    assert _foreign([*own.values(), early, inside, late, elsewhere], own) == ([inside], [early, late])
