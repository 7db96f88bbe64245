# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the istiod oracle of the differential tests: `oracle.py build [LINE …]` prints the path of each program."""

from __future__ import annotations

import argparse
import sys

from meshops_sandbox.build import BuildError, PlainReport, ensure_oracle, lines


def main() -> int:
    """Build the lines asked for, all without; 1 with one sentence on stderr when a build fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["build"])
    parser.add_argument("line", nargs="*", help=f"Istio lines: {', '.join(lines())} (default: all)")
    asked = parser.parse_args()
    for line in asked.line or lines():
        try:
            print(ensure_oracle(line, report=PlainReport()), flush=True)
        except BuildError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
