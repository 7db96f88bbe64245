# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""galaxy-importer, which Galaxy runs on every upload, on the built tarball: no error, no warning.

It has an environment of its own because it wants an older flake8. kubernetes.core is not in it, as it is not on
Galaxy's machine: documentation has to be complete without. Its ansible-lint is left out: the step `ansible-lint` has
more rules, and there kubernetes.core is known.
"""

from __future__ import annotations

import re
import subprocess
import sys

from tarball import tarball
from testrun.steps import WORK
from testrun.venvs import venv, with_path

AREA = WORK / "galaxy"
PACKAGES = ("galaxy-importer==0.4.44",)
#: Where the style of black, which is ruff's, disagrees with flake8: a line break before a binary operator, and a space
#: before the colon of a slice. The importer's flake8 takes no configuration.
FORMATTER = re.compile(r"^WARNING: \S+:\d+:\d+: (?:W503|E203) ")
FINDING = re.compile(r"^(?:WARNING|ERROR|CRITICAL)")


def main() -> int:
    """Print what the importer says when it is not content; 0 when it is."""
    binaries = venv(AREA / "venv", PACKAGES, constraints=None)
    environment = with_path(binaries, HOME=str(AREA / "home"))
    environment |= {"GALAXY_IMPORTER_RUN_FLAKE8": "true", "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    (AREA / "home").mkdir(exist_ok=True)
    done = subprocess.run(
        [str(binaries / "python"), "-m", "galaxy_importer.main", str(tarball())],
        cwd=AREA,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    findings = [line for line in lines if FINDING.match(line) and not FORMATTER.match(line)]
    imported = any("Collection loading complete" in line for line in lines)
    if done.returncode or findings or not imported:
        print(done.stdout if not findings else "\n".join(findings))
        print("galaxy_import: Galaxy would refuse or complain about this tarball, see above.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
