# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell loop that runs in a client and starts one curl for each line it reads.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

# One line per request, shorter than the smallest pipe and stdio buffers, by one printf: lines never mix.
# `jobs` collects the finished ones, or they would stay as zombies until the end.
LOOP = r"""
run=$1 limit=$2 url=$3 nl='
'
command -v curl >/dev/null 2>&1 || { echo no-curl; exit 0; }
echo ready
while IFS= read -r n && [ "$n" != end ]; do
  {
    out=$(curl -sS -m "$limit" --max-filesize 1048576 -H "x-request-id: $run-$n" \
      -w '\n%{http_code} %{time_total}' "$url" 2>/dev/null </dev/null)
    code=$?
    body=${out%"$nl"*}
    set -f; IFS=$nl; set -- $body; IFS=' '
    printf '%s %s %s %.300s\n' "$n" "$code" "${out##*"$nl"}" "$*"
  } &
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
