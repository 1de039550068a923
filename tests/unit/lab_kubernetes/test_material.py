import base64
import datetime as dt
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fakes.authorities import talos_authority

from infraflux_lab.kubernetes.material import Layout, MemberLayout, write_material, write_member
from infraflux_lab.kubernetes.pki import LEAF_LIFETIME, Authority, Leaf
from infraflux_lab.kubernetes.settings import read_settings

NOW = dt.datetime(2027, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
HOME = "127.78.1.11"


@pytest.fixture
def layout(tmp_path: Path, config: dict[str, Any]) -> Layout:
    made = Layout(root=tmp_path / "cluster")
    write_material(made, read_settings(config), home=HOME, served=["127.78.1.12"], now=NOW)
    return made


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "authority", "server", "client"),
    [
        ("kube-apiserver", "ca", True, False),
        ("admin", "ca", False, True),
        ("front-proxy-client", "aggregator-ca", False, True),
        ("etcd-client", "etcd-ca", False, True),
    ],
)
def test_every_leaf_comes_from_its_own_authority(
    layout: Layout, name: str, authority: str, server: bool, client: bool
) -> None:
    leaf = _load(layout.certificate(name))

    leaf.verify_directly_issued_by(_load(layout.certificate(authority)))
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.SERVER_AUTH in usage) == server
    assert (ExtendedKeyUsageOID.CLIENT_AUTH in usage) == client
    assert leaf.not_valid_after_utc == NOW + LEAF_LIFETIME
    key = serialization.load_pem_private_key(layout.key(name).read_bytes(), password=None)
    assert key.public_key() == leaf.public_key()


@pytest.mark.parametrize(("name", "server"), [("etcd-server", True), ("etcd-peer", True), ("etcd-client", False)])
def test_each_member_has_certificates_of_its_own(
    tmp_path: Path, config: dict[str, Any], name: str, server: bool
) -> None:
    made = MemberLayout(root=tmp_path / "member")
    write_member(made, read_settings(config), address="127.78.1.12", now=NOW)
    leaf = _load(made.certificate(name))
    leaf.verify_directly_issued_by(_load(made.certificate("etcd-ca")))
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.SERVER_AUTH in usage) == server
    assert stat.S_IMODE(made.key(name).stat().st_mode) == 0o600


def test_the_api_server_answers_to_all_its_names(layout: Layout) -> None:
    leaf = _load(layout.certificate("kube-apiserver"))

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(ip) for ip in names.get_values_for_type(x509.IPAddress)} == {
        HOME,
        "127.0.0.1",
        "10.2.0.1",
        "127.78.1.10",
        "127.78.1.12",
    }
    assert {"kubernetes.default.svc.cluster.local", "k8s.example.org"} <= set(names.get_values_for_type(x509.DNSName))


def test_only_the_owner_reads_the_files(layout: Layout) -> None:
    for path in layout.root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_kubeconfig_is_complete(layout: Layout) -> None:
    kubeconfig = json.loads(layout.kubeconfig("kube-scheduler").read_text())

    assert kubeconfig["clusters"][0]["cluster"]["server"] == f"https://{HOME}:6443"
    certificate = base64.b64decode(kubeconfig["users"][0]["user"]["client-certificate-data"])
    subject = x509.load_pem_x509_certificate(certificate).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:kube-scheduler"


def test_secrets_are_encrypted_with_the_key_of_the_machine_config(layout: Layout, config: dict[str, Any]) -> None:
    providers = json.loads(layout.encryption.read_text())["resources"][0]["providers"]

    assert providers[0]["secretbox"]["keys"][0]["secret"] == config["cluster"]["secretboxEncryptionSecret"]
    assert providers[-1] == {"identity": {}}, "data written before a key was set must stay readable"


def test_an_authority_may_be_ed25519_with_talos_label() -> None:
    pair = talos_authority(now=NOW, days=1)
    certificate = x509.load_pem_x509_certificate(pair.certificate)

    leaf = x509.load_pem_x509_certificate(Authority(pair).issue(Leaf(common_name="a"), now=NOW).certificate)

    leaf.verify_directly_issued_by(certificate)
    assert leaf.not_valid_after_utc == certificate.not_valid_after_utc, "a leaf never outlives its authority"
    assert isinstance(leaf.signature_hash_algorithm, hashes.HashAlgorithm | None)
