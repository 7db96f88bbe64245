# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job templates of extensions/awx on a live cluster, as AWX runs them: ansible-runner in the packages of the execution
environment, the form as it is but for a few answers, the credential as environment."""

from __future__ import annotations

import base64
import typing as t
import uuid
from pathlib import Path

import yaml

from ansible_collections.meshops.locality.plugins.filter.rbac import rbac
from tests import awx_job
from tests.conftest import Kubectl
from tests.installed import ExecutionEnvironment

#: Name of a template, what is answered differently, and which of its artifacts is about the cluster.
Job = tuple[str, dict[str, str], str]
EVERY: tuple[Job, ...] = (
    ("Locality: lint", {"lint_fail_on": "never"}, "locality_lint"),
    ("Locality: forecast", {}, "locality_forecast"),
    ("Locality: plan", {"plan_service": "helloworld"}, ""),
    ("Locality: upgrade", {"upgrade_from": "1.30"}, "locality_upgrade"),
    ("Locality: label", {}, ""),
    ("Locality: verify", {}, ""),
    ("Locality: restore expired", {}, ""),
    ("Locality: apply", {}, ""),
    ("Locality: assess", {}, "locality_assessment"),
    ("Locality: drill", {"failover_drill_duration": "5", "publish_config_map": "sample/drills"}, "locality_drill"),
    ("Locality: restore", {}, ""),
)


class Jobs:
    """Launches job templates on one cluster, the inventory's host `production` with these variables."""

    def __init__(
        self, image: ExecutionEnvironment, folder: Path, kubeconfig: Path, variables: t.Mapping[str, t.Any]
    ) -> None:
        self._image, self._folder, self._kubeconfig = image, folder, kubeconfig
        # What a survey does not ask for comes from the inventory.
        drill = {"scope": "subzone rack-2", "clients": "app=sleep", "path": "/hello", "allowed_namespaces": "sample"}
        # The lost pods answer again when their ejection ends.
        ejection = {**variables["failover_policy_outlier_detection"], "base_ejection_time": "10s"}
        self._variables = {
            **variables,
            "failover_policy_outlier_detection": ejection,
            **{f"failover_drill_{name}": value for name, value in drill.items()},
        }

    def launch(self, name: str, answers: t.Mapping[str, str], credential: t.Mapping[str, str] | None = None) -> t.Any:
        """Run a job and return it when it has ended."""
        template = awx_job.templates()[name]
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return awx_job.run(
            template,
            self._image,
            folder,
            answers={**awx_job.survey_defaults(template), **answers},
            hosts={"production": self._variables},
            credential=credential or {"K8S_AUTH_KUBECONFIG": str(self._kubeconfig)},
        )

    def succeed(self, jobs: t.Sequence[Job], kubectl: Kubectl) -> None:
        """Launch them one after the other; each must succeed, and leave its artifact for what follows in a workflow."""
        for name, answers, artifact in jobs:
            evidence = {"failover_drill_evidence": str(self._folder / "evidence")} if "drill" in name else {}
            job = self.launch(name, {**answers, **evidence})
            assert job.rc == 0, f"{name}\n{job.output}"
            assert not artifact or "production" in job.artifacts[artifact], f"{name}: {job.artifacts}"
            if "restore" in name:
                assert "There was nothing to restore." in job.output
            if into := answers.get("publish_config_map", "").rpartition("/")[2]:
                published = kubectl("get", "configmap", into, "--namespace=sample", "-o", "json")["data"]
                assert set(published) == {"production-report.html", "production-drill.json"}
                # Teardown leaves a namespace in which something of others is left.
                kubectl("delete", "configmap", into, "--namespace=sample")

    def forecast_with_a_token(self, kubectl: Kubectl) -> None:
        """Launch one with AWX's own credential type for bearer tokens, and no rights but those of the filter rbac."""
        cluster = yaml.safe_load(self._kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
        authority = self._folder / "ca.crt"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "awx", "namespace": "sample"}}
        rights = rbac(["predict"], namespaces=["sample"], name="awx-jobs", service_account="sample/awx")
        kubectl("apply", "-f", "-", given=[account, *rights])
        try:
            token = kubectl("create", "token", "awx", "--namespace=sample")
            credential = {
                "K8S_AUTH_HOST": cluster["server"],
                "K8S_AUTH_API_KEY": token,
                "K8S_AUTH_VERIFY_SSL": "True",
                "K8S_AUTH_SSL_CA_CERT": str(authority),
            }
            job = self.launch("Locality: forecast", {}, credential)
        finally:
            kubectl("delete", "-f", "-", "--wait=false", given=[account, *rights])
        assert job.rc == 0, job.output
        # The client's own Service runs only in rack-2, helloworld in every place.
        at_risk = job.artifacts["locality_forecast"]["production"]["matrix"]["at_risk"]
        assert {loss["loss"] for loss in at_risk} == {"subzone east/east-1/rack-2", "zone east/east-1", "region east"}
        assert all(loss["dies"] == ["sleep.sample:80"] for loss in at_risk), at_risk
        assert '"problems": []' in job.events, f"something could not be read\n{job.output}"
        assert token not in job.output + job.events
