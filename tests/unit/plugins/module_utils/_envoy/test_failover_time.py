# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a failover takes: every row that was measured (100 requests per second, Envoy 1.38.3), and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._envoy.ejection_course import (
    ejections_within,
    tries_until_first,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.failover_time import (
    ClientModel,
    Fault,
    Transition,
    transition,
)
from ansible_collections.meshops.locality.plugins.module_utils._envoy.locality_shares import LocalityHosts
from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import Failure, OutlierDetection
from ansible_collections.meshops.locality.plugins.module_utils._envoy.priority_load import Settings
from ansible_collections.meshops.locality.plugins.module_utils._envoy.retries import (
    ISTIO_RETRY_ON,
    Pick,
    Retries,
    outcome,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

WITH_503 = f"{ISTIO_RETRY_ON},reset,503"
ISTIO = Retries(retry_on=WITH_503)
REMOTE = Retries(retry_on=WITH_503, remote_localities=True)


def lose(hosts: int, fault: Fault, *, consecutive: int | None = 1, percent: int = 100, **client: object) -> Transition:
    """P0 with so many hosts, all lost, and P1 with three."""
    detection = consecutive and OutlierDetection(consecutive_5xx=consecutive, max_ejection_percent=percent)
    groups = [LocalityHosts(0, None, hosts), LocalityHosts(1, None, 3)]
    return transition(groups, [hosts, 0], fault, ClientModel(100, detection=detection or None, **client))


FAST = (Fault.REFUSED, Fault.RESET, Fault.GATEWAY_ERROR)


@pytest.mark.parametrize(
    ("hosts", "client", "measured", "seconds"),
    [
        (1, {}, (1, 1), 0.0),
        (1, {"retries": ISTIO}, (0, 1), 0.0),
        (3, {}, (90, 97), 1.01),
        (3, {"retries": ISTIO}, (46, 61), 1.0),
        (3, {"retries": REMOTE}, (0, 0), 1.0),
        (10, {}, (102, 102), 1.01),
        (3, {"merge_window": 0}, (3, 3), 0.1),
        (10, {"merge_window": 0}, (10, 10), 0.19),
        (3, {"merge_window": 0, "retries": ISTIO}, (0, 1), 0.04),
        (3, {"consecutive": 3}, (101, 101), 1.06),
        (3, {"consecutive": 5}, (108, 108), 1.13),
    ],
)
@pytest.mark.parametrize("fault", FAST)
def test_failures_that_show_at_once(
    fault: Fault, hosts: int, client: dict[str, object], measured: tuple[int, int], seconds: float
) -> None:
    after_loss = lose(hosts, fault, **client)
    assert after_loss.ever
    # 6 % for the rows measured once, and one request of rounding.
    assert measured[0] * 0.94 - 1 <= (after_loss.expected_failed_requests or 0) <= measured[1] * 1.06 + 1
    assert after_loss.seconds_until_shifted == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize(
    ("fault", "client", "measured", "seconds"),
    [
        (Fault.BLACKHOLE, {"connect_timeout": 1, "warm_connections": 9}, 207, 2.1),
        (Fault.BLACKHOLE, {"connect_timeout": 1, "route_timeout": 2, "warm_connections": 9}, 206, 2.1),
        (Fault.BLACKHOLE, {"connect_timeout": 5, "warm_connections": 9}, 603, 6.1),
        (Fault.BLACKHOLE, {"connect_timeout": 5, "warm_connections": 9, "retries": ISTIO}, 285, 6.1),
        (Fault.BLACKHOLE, {"connect_timeout": 5, "route_timeout": 2}, 292, 3.0),
        (Fault.BLACKHOLE, {"connect_timeout": 5, "route_timeout": 2, "retries": ISTIO}, 292, 3.0),
        (Fault.BLACKHOLE, {"connect_timeout": 1}, 194, 2.0),
        (Fault.HANG, {"route_timeout": 1}, 192, 2.0),
    ],
)
def test_failures_that_take_time(fault: Fault, client: dict[str, object], measured: int, seconds: float) -> None:
    after_loss = lose(3, fault, **client)
    assert after_loss.expected_failed_requests == pytest.approx(measured, rel=0.05)
    assert after_loss.seconds_until_shifted == pytest.approx(seconds, abs=0.12)


@pytest.mark.parametrize("client", [{"connect_timeout": 1}, {"connect_timeout": 1, "route_timeout": 2}])
def test_a_blackhole_with_retries_is_an_upper_bound(client: dict[str, object]) -> None:
    """Measured: 38 and 50, 9 to 12 of them on connections that stood before."""
    after_loss = lose(3, Fault.BLACKHOLE, retries=ISTIO, warm_connections=9, **client)
    assert 38 <= (after_loss.expected_failed_requests or 0) <= 70
    assert "late-retries" in [assumption.code for assumption in after_loss.assumptions]


@pytest.mark.parametrize(
    ("fault", "client"),
    [
        (Fault.REFUSED, {"percent": 10}),
        (Fault.GATEWAY_ERROR, {"percent": 10}),
        (Fault.REFUSED, {"consecutive": None, "retries": ISTIO}),
        (Fault.HANG, {}),
    ],
)
def test_failures_that_never_end(fault: Fault, client: dict[str, object]) -> None:
    after_loss = lose(3, fault, **client)
    assert (after_loss.ever, after_loss.expected_failed_requests, after_loss.seconds_until_shifted) == (
        False,
        None,
        None,
    )
    assert (after_loss.phases[-1].seconds, after_loss.phases[-1].failing) == (None, 1.0)


@pytest.mark.parametrize("fault", FAST)
def test_other_versions_measured_the_same(fault: Fault) -> None:
    """1.36.4, 1.37.0 and 1.40.0: 86 to 97 failures without retries, 47 to 61 with Istio's, none with remote ones."""
    assert 86 <= (lose(3, fault).expected_failed_requests or 0) <= 97
    assert 47 <= (lose(3, fault, retries=ISTIO).expected_failed_requests or 0) <= 61


TUTORIAL = [LocalityHosts(0, None, 3), LocalityHosts(1, None, 1)]


def test_the_rule_of_the_tutorial_waits_for_kubernetes() -> None:
    """10 % of 4 endpoints are none, and a drained sidecar fails its readiness probe for 4 times 15 seconds."""
    detection = OutlierDetection(consecutive_5xx=1, interval=1, base_ejection_time=60)
    client = ClientModel(10, detection=detection, retries=Retries())
    course = transition(TUTORIAL, [3, 0], Fault.DRAINED, client, readiness_seconds=4 * 15)
    assert course.seconds_until_shifted == 60
    assert course.expected_failed_requests == 600
    assert [phase.what for phase in course.phases] == ["until Kubernetes takes the endpoints out"]


def test_the_completed_rule_of_the_tutorial_loses_nothing() -> None:
    detection = OutlierDetection(consecutive_5xx=1, interval=1, base_ejection_time=60, max_ejection_percent=75)
    client = ClientModel(10, detection=detection, retries=Retries(remote_localities=True))
    course = transition(TUTORIAL, [3, 0], Fault.DRAINED, client, readiness_seconds=60)
    assert course.expected_failed_requests == 0
    assert course.seconds_until_shifted == pytest.approx(1.16, abs=0.01)
    without_remote = ClientModel(10, detection=detection, retries=Retries())
    assert 4 < (transition(TUTORIAL, [3, 0], Fault.DRAINED, without_remote).expected_failed_requests or 0) < 7


def test_istios_retries_do_not_cover_an_answer_of_503() -> None:
    assert lose(3, Fault.GATEWAY_ERROR, retries=Retries()).expected_failed_requests == pytest.approx(95, abs=0.1)
    assert lose(3, Fault.REFUSED, retries=Retries()).expected_failed_requests == pytest.approx(53, abs=1)


def test_partly_ejectable() -> None:
    """2 of 4 at 50 %: the last one of three keeps failing; P0 with one healthy-looking host of three has 46 %."""
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=50)
    course = transition(TUTORIAL, [3, 0], Fault.REFUSED, ClientModel(100, detection=detection), readiness_seconds=60)
    assert course.phases[-1].failing == pytest.approx(0.46)
    assert course.seconds_until_shifted == pytest.approx(60)
    assert course.expected_failed_requests == pytest.approx(94 + 0.46 * 5899, rel=0.01)


def test_kubernetes_may_be_faster_than_the_ejections() -> None:
    course = transition(
        [LocalityHosts(0, None, 3), LocalityHosts(1, None, 3)],
        [3, 0],
        Fault.REFUSED,
        ClientModel(100, detection=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)),
        readiness_seconds=0.5,
    )
    assert course.seconds_until_shifted == pytest.approx(0.5)
    assert course.expected_failed_requests == pytest.approx(1 + 0.49 * 93, rel=0.01)


def test_nothing_is_left() -> None:
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    groups = [LocalityHosts(0, None, 3)]
    course = transition(groups, [3], Fault.REFUSED, ClientModel(10, detection=detection), readiness_seconds=60)
    assert not course.ever
    assert course.phases[-1].what == "for ever: no endpoint is left"


def test_a_lost_reserve_costs_nothing() -> None:
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    course = transition(TUTORIAL, [0, 1], Fault.REFUSED, ClientModel(10, detection=detection))
    assert (course.expected_failed_requests, course.seconds_until_shifted, course.ever) == (0, 0, True)


def test_an_ejection_opens_the_merge_window_of_every_priority() -> None:
    """On Envoy 1.39: 13 to 25 failures (tests/differential/envoy/transitions.py); with windows of their own 2."""
    groups = [LocalityHosts(0, None, 2), LocalityHosts(1, None, 2), LocalityHosts(2, None, 1)]
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    course = transition(groups, [1, 1, 0], Fault.REFUSED, ClientModel(100, detection=detection))
    assert course.expected_failed_requests == pytest.approx(17, abs=0.1)
    assert course.seconds_until_shifted == pytest.approx(1.09, abs=0.01)


def test_hosts_of_two_lost_priorities_are_ejected_within_one_window() -> None:
    groups = [LocalityHosts(0, None, 3), LocalityHosts(1, None, 3), LocalityHosts(2, None, 3)]
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    course = transition(groups, [3, 3, 0], Fault.REFUSED, ClientModel(100, detection=detection))
    assert course.seconds_until_shifted == pytest.approx(1.29, abs=0.02)
    assert 110 < (course.expected_failed_requests or 0) < 120


def test_in_a_panic_ejected_hosts_fail_on_and_nothing_is_waited_for() -> None:
    """More than half are ejected, so Envoy sends to all again: requests fail for ever, whatever else is ejected."""
    detection = OutlierDetection(consecutive_5xx=5, max_ejection_percent=100)
    client = ClientModel(100, Settings(panic_threshold=50), detection=detection)
    course = transition([LocalityHosts(0, None, 3), LocalityHosts(1, None, 3)], [3, 3], Fault.REFUSED, client)
    assert not course.ever
    assert course.for_good > 0.9


def test_of_priorities_that_are_not_reached_nothing_is_waited_for() -> None:
    groups = [LocalityHosts(0, None, 10), LocalityHosts(1, None, 5)]
    client = ClientModel(300, detection=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100))
    assert transition(groups, [2, 2], Fault.REFUSED, client).seconds_until_shifted == pytest.approx(1.05, abs=0.01)


def test_hosts_by_the_thousand() -> None:
    client = ClientModel(1000, detection=OutlierDetection(consecutive_5xx=1, max_ejection_percent=100))
    groups = [LocalityHosts(0, None, 1500), LocalityHosts(1, None, 1500)]
    course = transition(groups, [1500, 0], Fault.REFUSED, client)
    assert course.ever
    assert (course.expected_failed_requests or 0) > 1500


def test_removal_by_service_discovery() -> None:
    course = transition(TUTORIAL, [3, 0], Fault.REMOVED, ClientModel(10), readiness_seconds=2.5)
    assert (course.expected_failed_requests, course.seconds_until_shifted, course.ever) == (0, 2.5, True)
    assert not transition(TUTORIAL, [3, 0], Fault.REMOVED, ClientModel(10)).ever


def test_split_errors_with_a_threshold_above_1_never_eject_on_resets() -> None:
    detection = OutlierDetection(
        split_external_local_origin_errors=True, consecutive_local_origin_failure=5, max_ejection_percent=100
    )
    course = transition(TUTORIAL, [3, 0], Fault.RESET, ClientModel(10, detection=detection))
    assert not course.ever
    assert any("never ejects for this failure (reset" in assumption.text for assumption in course.assumptions)
    assert transition(TUTORIAL, [3, 0], Fault.REFUSED, ClientModel(10, detection=detection)).ever


def test_bad_input() -> None:
    with pytest.raises(InvalidInput, match="above 0 requests per second, not 0"):
        ClientModel(0)
    with pytest.raises(InvalidInput, match="2 groups of hosts need as many"):
        transition(TUTORIAL, [1], Fault.REFUSED, ClientModel(1))
    with pytest.raises(InvalidInput, match="at most the 3 healthy hosts can be lost, not 4"):
        transition(TUTORIAL, [4, 0], Fault.REFUSED, ClientModel(1))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.floats(0.1, 1000), st.sampled_from([None, ISTIO]))
def test_every_phase_is_accounted_for(
    lost: int, others: int, errors: int, rate: float, retries: Retries | None
) -> None:
    detection = OutlierDetection(consecutive_5xx=errors, max_ejection_percent=100)
    groups = [LocalityHosts(0, None, lost), LocalityHosts(1, None, others)]
    client = ClientModel(rate, detection=detection, retries=retries)
    course = transition(groups, [lost, 0], Fault.REFUSED, client)
    assert course.ever
    assert course.expected_failed_requests == pytest.approx(sum(phase.failed or 0 for phase in course.phases))
    assert all(0 <= phase.failing <= 1 + 1e-9 and (phase.seconds or 0) > 0 for phase in course.phases)
    if retries:
        alone = transition(groups, [lost, 0], Fault.REFUSED, ClientModel(rate, detection=detection))
        assert (course.expected_failed_requests or 0) <= (alone.expected_failed_requests or 0) + 1e-6


@given(st.integers(1, 8), st.integers(1, 5), st.floats(0, 50))
def test_the_chances_of_a_window_add_up(hosts: int, errors: int, mean: float) -> None:
    assert sum(ejections_within(hosts, errors, mean)) == pytest.approx(1)


@pytest.mark.parametrize(("hosts", "errors", "expected"), [(1, 5, 5), (7, 1, 1), (2, 2, 2.5), (3, 2, 26 / 9)])
def test_tries_until_a_host_has_had_so_many(hosts: int, errors: int, expected: float) -> None:
    """Two hosts, two errors: 2 tries with chance 1/2, else 3. Three: 2 with 1/3, 3 with 4/9, else 4."""
    assert tries_until_first(hosts, errors) == pytest.approx(expected, rel=1e-3)
    assert tries_until_first(hosts, errors, in_turn=True) == (errors - 1) * hosts + 1


def test_the_failing_part_that_was_measured_with_istios_retries() -> None:
    """0.93 × 0.87 × 0.65: two of three hosts of P0 look alive, five more picks avoid tried ones."""
    failing, tries = outcome(Pick(0.93, 0.0, 2, 0.0), ISTIO)
    assert failing == pytest.approx(0.93 * 0.87 * 0.65, rel=0.01)
    assert tries == pytest.approx(0.93 + 0.93 * 0.87 + 0.93 * 0.87 * 0.65, rel=0.01)


def test_remote_localities_need_a_second_retry() -> None:
    retry = Retries(attempts=1, retry_on=WITH_503, remote_localities=True)
    assert outcome(Pick(1.0, 0.0, 3, 0.0), retry)[0] == 1.0
    assert outcome(Pick(1.0, 0.0, 3, 0.0), REMOTE)[0] == 0.0


def test_nobody_to_try_is_not_retried() -> None:
    assert outcome(Pick(0.0, 1.0), ISTIO)[0] == 1.0
    assert outcome(Pick(0.5, 0.5, 1, 0.5), ISTIO)[0] >= 0.5


@pytest.mark.parametrize(
    ("retry_on", "covered"),
    [
        (ISTIO_RETRY_ON, {Failure.REFUSED, Failure.CONNECT_TIMEOUT}),
        (f"{ISTIO_RETRY_ON},503", {Failure.REFUSED, Failure.CONNECT_TIMEOUT, Failure.GATEWAY_ERROR}),
        ("gateway-error", set(Failure) - {Failure.SERVER_ERROR}),
        ("5xx", set(Failure)),
        ("reset", {Failure.REFUSED, Failure.CONNECT_TIMEOUT, Failure.RESET, Failure.TIMEOUT}),
        ("retriable-4xx", set()),
    ],
)
def test_what_is_retried(retry_on: str, covered: set[Failure]) -> None:
    assert {failure for failure in Failure if Retries(retry_on=retry_on).covers(failure)} == covered


def test_panic_settings_are_respected() -> None:
    """With a threshold the last healthy priority may panic: P1 of one host keeps Envoy calm here, P0 alone does not."""
    detection = OutlierDetection(consecutive_5xx=1, max_ejection_percent=100)
    client = ClientModel(100, Settings(panic_threshold=50), detection=detection)
    course = transition([LocalityHosts(0, None, 4)], [3], Fault.REFUSED, client)
    assert not course.ever
    assert course.phases[-1].failing == pytest.approx(0.75)
