"""Certificates cut from Talos' authority: label, names, roles, expiry."""

import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtensionOID

from infraflux_lab.certificates import KeyPair, load_key
from infraflux_lab.talos import pki


def test_talos_label_is_read(talos_authority: KeyPair) -> None:
    assert b"ED25519 PRIVATE KEY" in talos_authority.key
    assert isinstance(load_key(talos_authority.key), Ed25519PrivateKey)


def test_server_certificate_names_its_addresses(talos_authority: KeyPair) -> None:
    pair = pki.server_certificate(talos_authority, addresses=["127.0.0.1", "127.0.0.1", "10.0.0.9"], names=["cp-1"])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.0.0.9"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(talos_authority.certificate))


def test_key_pairs_do_not_show_themselves(talos_authority: KeyPair) -> None:
    assert "KEY" not in repr(talos_authority)


@pytest.mark.parametrize(
    ("subject", "roles"),
    [
        (((("organizationName", "os:admin"),), (("commonName", "x"),)), {"os:admin"}),
        (((("organizationName", "os:reader"),), (("organizationName", "os:operator"),)), {"os:reader", "os:operator"}),
        (((("organizationName", "system:masters"),),), set()),
        ((), set()),
    ],
)
def test_roles(subject: tuple[tuple[tuple[str, str], ...], ...], roles: set[str]) -> None:
    assert pki.roles_of(subject) == roles


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Run a handshake in memory, up to the server's verdict on the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in (ends[0], ends[1], ends[0], ends[1]):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue


def _client(authority: KeyPair, tmp_path_factory: pytest.TempPathFactory, *, certificate: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.certificate.decode())
    if certificate:
        pair = pki.client_certificate(
            authority, common_name="", organizations=["os:admin"], lifetime=pki.KUBECONFIG_LIFETIME
        )
        path = tmp_path_factory.mktemp("client") / "pair.pem"
        path.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(path)
    return context


def test_client_certificate_is_required(talos_authority: KeyPair, tmp_path_factory: pytest.TempPathFactory) -> None:
    pair = pki.server_certificate(talos_authority, addresses=["127.0.0.1"], names=["cp-1"])
    server = pki.server_context(pair, client_authority=talos_authority.certificate)
    _shake_hands(server, _client(talos_authority, tmp_path_factory, certificate=True))
    with pytest.raises(ssl.SSLError, match=r"PEER_DID_NOT_RETURN_A_CERTIFICATE|peer did not return"):
        _shake_hands(server, _client(talos_authority, tmp_path_factory, certificate=False))


def test_an_expired_authority_expires_its_clients(
    talos_authority: KeyPair, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = pki.server_certificate(talos_authority, addresses=["127.0.0.1"], names=["cp-1"])
    server = pki.server_context(pair, client_authority=pki.expired_authority(talos_authority))
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        _shake_hands(server, _client(talos_authority, tmp_path_factory, certificate=True))
