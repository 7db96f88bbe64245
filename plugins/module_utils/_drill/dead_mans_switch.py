# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A timer inside the target's own proxy container, which ends the fault when the drill is silent for too long.

The drill, the API server and the network may all be gone. The process is started by an exec and outlives it. A restart
of the container ends the timer together with what it guards.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

#: $1: seconds of silence, $2: id of the drill (by which the process is known), $3: what to post to Envoy.
#: USR1 is a sign of life. The answer to the post may not come, because Envoy ends: it is repeated until this container
#: has ended or, for a post that ends nothing, until it was heard.
_TIMER = (
    "trap 'i=0' USR1; i=0; "
    'while [ "$i" -lt "$1" ]; do sleep 1; i=$((i+1)); done; '
    'until pilot-agent request POST "$3" && [ "$3" != quitquitquit ]; do sleep 1; done'
)

#: $1 to $3 as above. Prints the process id.
_QUOTED = _TIMER.replace("'", "'\\''")
_START = f'setsid sh -c \'{_QUOTED}\' meshops-drill "$1" "$2" "$3" </dev/null >/dev/null 2>&1 & echo $!'

#: $1: process id, $2: id of the drill, $3: signal. Exit code 3: it is not there (any more).
_SIGNAL = """case "$(tr '\\0' ' ' <"/proc/$1/cmdline" 2>/dev/null)" in
*" $2 "*) kill "-$3" "$1" || exit 3 ;;
*) exit 3 ;;
esac"""

#: $1: id of the drill. Ends every timer of it, whoever started it. This shell has the words in its own command line.
_END = """for each in /proc/[0-9]*; do
case "$(tr '\\0' ' ' <"$each/cmdline" 2>/dev/null)" in
*" meshops-drill "*" $1 "*) [ "$each" = "/proc/$$" ] || kill -TERM "${each#/proc/}" ;;
esac
done
:"""

ABSENT = 3


def usable() -> list[str]:
    """Return the command that succeeds in a container where the timer can run."""
    return ["sh", "-c", "for word in setsid sleep tr pilot-agent; do command -v $word >/dev/null || exit 1; done"]


def start(seconds: int, drill: str, path: str) -> list[str]:
    """Return the command that starts a timer of `seconds` and prints its process id."""
    return ["sh", "-c", _START, "sh", str(seconds), drill, path]


def renew(process: int, drill: str) -> list[str]:
    """Return the command that gives a sign of life; exit code ABSENT when the timer is not there."""
    return ["sh", "-c", _SIGNAL, "sh", str(process), drill, "USR1"]


def end(drill: str) -> list[str]:
    """Return the command that ends the timers of a drill; it succeeds when there is none, too."""
    return ["sh", "-c", _END, "sh", drill]
