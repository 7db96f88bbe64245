# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client's requests are sent when they are due, by few curls where answers come promptly; a client without processor
time: its requests belong to the time at which they were sent, and too late is told.
"""

from __future__ import annotations

import threading
import time
import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_clients
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy


@pytest.fixture
def probe() -> ClientProbe:
    pod = {"metadata": {"namespace": "sample", "name": "sleep", "uid": "1"}, "spec": {}, "status": {}}
    request = Request("http://web/", 20, 5, None)
    return ClientProbe(t.cast(t.Any, None), 0, Proxy.of(pod), "sleep", request, "run", time.monotonic() - 100)


#: A second of a slow probe takes so many of the machine's: where others work, too, everybody is late by less.
SLOWER = 5


def slow_clock() -> float:
    return time.monotonic() / SLOWER


class SlowEvent(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout * SLOWER)


@pytest.fixture
def slow_probe(probe: ClientProbe, monkeypatch: pytest.MonkeyPatch) -> ClientProbe:
    """The same on a slow clock."""
    monkeypatch.setattr(drill_clients, "time", types.SimpleNamespace(monotonic=slow_clock))
    probe._stop, probe._answered_at = SlowEvent(), slow_clock()
    return probe


def test_a_request_that_was_sent_late_belongs_to_when_it_was_sent(probe: ClientProbe) -> None:
    now = time.monotonic()
    probe._due = {0: now - 40, 1: now - 0.4}
    probe._take("0 0 200 0.500 answer")
    probe._take("1 0 200 0.500 answer")
    late, in_time = probe.samples
    assert late.t == pytest.approx(99.5, abs=5)
    assert in_time.t == pytest.approx(99.6, abs=5)
    assert probe.late == pytest.approx(39.5, abs=5)


def test_a_client_that_falls_far_behind_is_no_witness(probe: ClientProbe) -> None:
    probe._due = {0: time.monotonic() - 3}
    probe._take("0 0 200 2.900 answer")
    assert (probe.stalled(), probe.slowness()) == ("", "")
    probe.late = 1.5
    assert "sent requests up to 1.5 s late" in probe.slowness()
    probe._due[1] = time.monotonic() - 60
    probe._take("1 0 200 0.100 answer")
    assert "too little processor time for 20 a second" in probe.stalled()


def test_a_client_has_no_more_requests_open_than_may_wait_for_an_answer(probe: ClientProbe) -> None:
    """Each open request is a process in the client: one that cannot cope gets the next when it has answered one."""
    written: list[str] = []

    class _Session:
        write = staticmethod(written.append)

    probe._request = Request("http://web/", 10_000, 0.001, None)
    probe._session = t.cast(t.Any, _Session)
    probe._most_open = 50
    ticker = threading.Thread(target=probe._tick)
    ticker.start()
    try:
        wait_for(lambda: len(written) == 50 and probe.late > 0.1)
        assert len(written) == 50
        probe._take("0 0 200 0.000 answer")
        wait_for(lambda: len(written) == 51)
        assert len(written) == 51
    finally:
        probe._stop.set()
        ticker.join(timeout=30)


class Loop:
    """A request loop with a curl that can ask several, in the same process, on the slow clock. `hangs`: this number is
    never answered."""

    def __init__(self, probe: ClientProbe, hangs: int = -1, fails: int = -1) -> None:
        self.probe, self.hangs, self.fails = probe, hangs, fails
        self.written: list[tuple[float, str]] = []

    def write(self, text: str) -> None:
        self.written.append((slow_clock(), text.strip()))
        if text != "end\n":
            first, _space, count = text.strip().partition(" ")
            threading.Thread(target=self._ask, args=(int(first), int(count or 1)), daemon=True).start()

    def _ask(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            if number == self.hangs:
                return
            self.probe._report(f"{number} {7 if number == self.fails else 0} 200 0.001 x")
            if number == self.fails:
                break
            time.sleep(0.05 * SLOWER if count > 1 else 0)
        if count > 1:
            self.probe._report(f"ended {first}")


def play(probe: ClientProbe, loop: Loop, enough: t.Callable[[], bool]) -> None:
    probe._session = t.cast(t.Any, loop)
    probe._several = 20
    probe._reported_at_once = 1
    ticker = threading.Thread(target=probe._tick)
    ticker.start()
    try:
        wait_for(enough)
    finally:
        probe._stop.set()
        ticker.join(timeout=30)


def test_one_curl_asks_a_second_of_requests_while_answers_are_prompt(slow_probe: ClientProbe) -> None:
    loop = Loop(slow_probe)
    play(slow_probe, loop, lambda: len(loop.written) >= 3)
    assert [text for _at, text in loop.written[:3]] == ["0 20", "20 20", "40 20"]
    assert loop.written[2][0] - loop.written[1][0] == pytest.approx(1.0, abs=0.2)
    wait_for(lambda: not slow_probe._due)
    assert sorted(slow_probe.numbers) == list(range(len(slow_probe.numbers)))


def test_a_request_that_hangs_delays_none_of_the_others(slow_probe: ClientProbe) -> None:
    """The curl waits for its answer. What it was to ask is asked by others, as soon as that is noticed."""
    loop = Loop(slow_probe, hangs=25)
    play(slow_probe, loop, lambda: len(loop.written) >= 17)
    after = [text for _at, text in loop.written[2:17]]
    assert after == [str(number) for number in range(40, 55)]
    # Due when the request after the one that hangs would have been: 0.3 s after the first of its curl.
    assert loop.written[2][0] - loop.written[1][0] < 1.3
    assert loop.written[16][0] - loop.written[1][0] == pytest.approx(0.3 + 14 / 20, abs=0.3)


def test_what_a_curl_leaves_when_a_request_fails_is_asked_by_others(slow_probe: ClientProbe) -> None:
    loop = Loop(slow_probe, fails=25)
    play(slow_probe, loop, lambda: len(loop.written) >= 17)
    assert [text for _at, text in loop.written[2:17]] == [str(number) for number in range(40, 55)]
    # The 26th was due 0.3 s after the first of its curl, which had ended by then.
    assert loop.written[2][0] - loop.written[1][0] < 0.9
    assert not {*range(26, 40)} & set(slow_probe.numbers)
    assert sum(sample.curl == 7 for sample in slow_probe.samples) == 1
    assert slow_probe.stalled() == ""


@pytest.mark.parametrize("line", ["0 0 200 0.046 slow", "0 28 000 0.001 ", f"0 0 200 0.001 {'x' * 300}"])
def test_no_curl_asks_several_after_an_answer_that_is_slow_failed_or_long(probe: ClientProbe, line: str) -> None:
    probe._due = {0: time.monotonic() - 0.05}
    assert probe._prompt()
    probe._take(line)
    assert not probe._prompt()


def test_a_client_without_processor_time_is_not_given_more_curls(probe: ClientProbe) -> None:
    probe._due = {0: time.monotonic() - 10}
    probe._take("0 0 200 2.000 late, and slow")
    assert probe._prompt()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_whose_ticker_fails_is_broken(probe: ClientProbe) -> None:
    class _Session:
        def write(self, _text: str) -> None:
            raise RuntimeError("out of threads")

    play(probe, t.cast(t.Any, _Session()), lambda: bool(probe.broken))
    assert "asks no more: RuntimeError: out of threads" in probe.stalled()


def test_what_an_earlier_curl_left_is_not_made_up_for_in_one_go(probe: ClientProbe) -> None:
    """Each request since then was asked by a curl of its own."""
    probe._unasked = [time.monotonic() - 30]
    loop = Loop(probe)
    play(probe, loop, lambda: len(loop.written) >= 2)
    assert [text for _at, text in loop.written[:2]] == ["0 20", "20 20"]


def test_answers_that_come_at_once_were_sent_one_after_the_other(probe: ClientProbe) -> None:
    now = time.monotonic()
    probe._due = {number: now - 0.5 + number / 20 for number in range(4)}
    for line in ("several 4", "0 0 200 0.01 a", "1 0 200 0.01 b", "2 0 200 0.01 c", "3 0 200 0.05 d"):
        assert not probe.samples
        probe._report(line)
    times = dict(zip(probe.numbers, [sample.t + probe._clock for sample in probe.samples], strict=True))
    assert times[3] == pytest.approx(now - 0.05, abs=0.04)
    assert [times[number + 1] - times[number] for number in range(3)] == [pytest.approx(0.05)] * 3


def wait_for(condition: t.Callable[[], bool]) -> None:
    """Wait until something is so, at most half a minute."""
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
