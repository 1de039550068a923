"""A machine without a configuration: what it tells, what it refuses, how it takes its first configuration."""

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.tools]


@pytest.mark.parametrize("kind", ["disks", "systeminformation", "links", "addresses", "hostname", "machinestatus"])
def test_readable_without_a_certificate(world, golden, kind):
    world.boot(11)
    golden(f"maintenance-get-{kind}", world.talosctl("get", kind, "--insecure", node=11).text)


def test_version(world, golden):
    world.boot(11)
    golden("maintenance-version", world.talosctl("version", "--insecure", node=11).text)


def test_configuration_is_not_readable(world):
    world.boot(11)
    refused = world.talosctl("get", "machineconfig", "--insecure", node=11, check=False)
    assert refused.code != 0
    assert "not authorized" in refused.text


@pytest.mark.parametrize("words", [["reboot", "--wait=false"], ["bootstrap"], ["version"]], ids=lambda words: words[0])
def test_cluster_certificate_does_not_help(world, words):
    """The self-signed certificate is not the cluster's: the client breaks off before it asks anything."""
    world.boot(11)
    refused = world.talosctl(*words, node=11, check=False)
    assert refused.code != 0
    assert "certificate signed by unknown authority" in refused.text or "certificate is not valid" in refused.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda text: "machine: [", "yaml", id="not yaml"),
        pytest.param(lambda text: text.replace("    token: ", "    tokn: ", 1), "    tokn: ", id="unknown key"),
        pytest.param(
            lambda text: text.replace("type: controlplane", "type: worker"),
            "is not allowed on non-controlplane",
            id="keys on a worker",
        ),
        pytest.param(lambda text: text + "\n---\napiVersion: v1alpha1\nkind: Nonsense\n", "not registered", id="kind"),
        pytest.param(lambda text: text + text[text.index("---") :], "duplicate document", id="duplicate document"),
        pytest.param(
            lambda text: text.replace("type: controlplane", "type: controller"), "unknown machine type", id="type"
        ),
    ],
)
def test_refuses_a_bad_configuration(world, generated, tmp_path, change, message):
    world.boot(11)
    path = tmp_path / "bad.yaml"
    path.write_text(change((generated / "controlplane.yaml").read_text()))
    refused = world.talosctl("apply-config", "--insecure", "--file", str(path), node=11, check=False)
    assert refused.code != 0
    assert "InvalidArgument" in refused.text
    assert message in refused.text
    assert world.stage(11) == "maintenance"


def test_dry_run_changes_nothing(world, generated):
    world.boot(11)
    path = str(generated / "controlplane.yaml")
    answer = world.talosctl("apply-config", "--insecure", "--dry-run", "--file", path, node=11)
    assert "Dry run summary" in answer.text
    assert "+version: v1alpha1" in answer.text
    assert world.stage(11) == "maintenance"


def test_first_configuration_switches_to_mutual_tls(world):
    world.boot(11)
    world.apply(11, "controlplane")
    assert world.talosctl("version", node=11).code == 0
    refused = world.talosctl("version", "--insecure", node=11, check=False)
    assert refused.code != 0
    assert "certificate required" in refused.text


def test_worker_waits_for_a_control_plane_to_sign_its_certificate(world):
    world.boot(11, 21)
    world.talosctl("apply-config", "--insecure", "--file", str(world.config_path("worker", 21)), node=21)
    world.until(lambda: "waiting-for-trustd" in world.log.kinds(), "worker without a certificate")
    refused = world.talosctl("version", node=21, check=False)
    assert "connection refused" in refused.text
    world.apply(11, "controlplane")
    world.until(lambda: world.log.kinds().count("api-open") == 4, "worker's port open")
    assert world.talosctl("version", node=21).code == 0
