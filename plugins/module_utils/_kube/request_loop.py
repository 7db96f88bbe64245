# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell loop that runs in a client and asks with curl what the lines that it reads want.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

# A line is `NUMBER`, for one request, or `NUMBER COUNT`: so many from this number on, by one curl, which asks one after
# the other and $4 of them a minute. A curl for each costs the client's container twenty times the processor time; but
# one curl waits for an answer before it asks again. It ends with the first request that fails, and `ended NUMBER` says
# that it will ask no more. Only a curl with --rate (7.84) can do that; then the first line is `ready for several`.
# $5 is the URL as it stands between quotes of curl's configuration. Each line that is sent costs the API server and
# the kubelet more than the request does: $6 answers, or those up to one that is no 2xx within 0.1 s, come
# at once, after `several COUNT`.
#
# One line per request, or a few, shorter than the smallest pipe and stdio buffers, by one printf: they never mix.
# `jobs` collects the finished ones, or they would stay as zombies until the end.
LOOP = r"""
run=$1 limit=$2 url=$3 rate=$4 quoted=$5 most=$6 nl='
'
command -v curl >/dev/null 2>&1 || { echo no-curl; exit 0; }
if [ -n "$rate" ] && curl --rate 1/s --version >/dev/null 2>&1; then echo ready for several; else echo ready; fi
while IFS=' ' read -r n count && [ "$n" != end ]; do
  if [ -n "$count" ]; then {
    i=$n end=$((n + count))
    while [ "$i" -lt "$end" ]; do
      [ "$i" = "$n" ] || echo next
      printf 'silent\ngloboff\nno-buffer\nurl = "%s"\nmax-time = %s\nmax-filesize = 1048576\n' "$quoted" "$limit"
      printf 'header = "x-request-id: %s"\nheader = "connection: close"\n' "$run-$i"
      printf 'write-out = "%%{stderr}\\n%s %%{exitcode} %%{http_code} %%{time_total}\\n"\n' "$run-$i"
      i=$((i + 1))
    done | curl --fail-early --rate "$rate/m" -K - 2>&1 | {
      body= answers= count=0
      while IFS= read -r line || [ -n "$line" ]; do
        case $line in
          "$run-"[0-9]*" "*" "*" "*) answers="$answers$nl${line#"$run-"}$body" body= count=$((count + 1)) ;;
          ?*) [ ${#body} -gt 300 ] || body="$body $line"; continue ;;
          *) continue ;;
        esac
        case $line in
          *" 0 2"[0-9][0-9]" 0.0"*) [ "$count" -ge "$most" ] || [ ${#answers} -gt 400 ] || continue ;;
        esac
        printf 'several %s%s\n' "$count" "$answers"
        answers= count=0
      done
      [ "$count" = 0 ] || printf 'several %s%s\n' "$count" "$answers"
    }
    echo "ended $n"
  } & else {
    out=$(curl -gsS -m "$limit" --max-filesize 1048576 -H "x-request-id: $run-$n" \
      -w '\n%{http_code} %{time_total}' "$url" 2>/dev/null </dev/null)
    code=$?
    body=${out%"$nl"*}
    set -f; IFS=$nl; set -- $body; IFS=' '
    printf '%s %s %s %.300s\n' "$n" "$code" "${out##*"$nl"}" "$*"
  } & fi
  jobs >/dev/null 2>&1
done
wait
"""

# Source: curl's manual, exit codes.
CURL_EXITS = {
    6: "name not resolved",
    7: "connection refused",
    28: "no answer in time",
    52: "empty answer",
    56: "connection reset",
}
