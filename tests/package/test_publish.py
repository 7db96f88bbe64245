# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports leave the machine that made them, also when the run fails."""

from __future__ import annotations

import http.server
import threading

from tests.conftest import ROOT
from tests.installed import Shell

TUTORIAL = ROOT / "docs" / "examples" / "tutorial"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent to it: {path: (Authorization, body)}."""

    received: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - one server, one test

    def do_PUT(self) -> None:
        """Take a file."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.received[self.path] = (self.headers.get("Authorization", ""), body)
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_the_reports_of_a_failed_lint_are_sent_with_the_token(shell: Shell) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/mesh"
        manifests = f"{TUTORIAL}/mesh.yml,{TUTORIAL}/as-written.yml"
        command = f"ansible-playbook meshops.locality.lint -e lint_manifests={manifests} -e lint_json=lint.json"
        printed = shell(
            f"{command} -e lint_sarif= -e publish_url={url} -vvv",
            rc=2,
            env={"LOCALITY_PUBLISH_TOKEN": "s3cr3t-t0k3n", "ANSIBLE_SHOW_CUSTOM_STATS": "1"},
        )
        server.shutdown()
    ((path, (token, body)),) = Receiver.received.items()
    assert path == "/mesh/localhost-lint.json"
    assert token == "Bearer s3cr3t-t0k3n"
    assert "ML202" in body
    assert "s3cr3t-t0k3n" not in printed
    assert f'"locality_reports":{{"localhost":["{url}/localhost-lint.json"]}}' in "".join(printed.split())
