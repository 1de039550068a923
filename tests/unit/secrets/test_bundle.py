"""The bundle is made once, opens only for its recipients, and never shows a value."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyrage import x25519

from infraflux.adapters.secrets.bundle import BundleStore, SecretsBundle, credential_values, written_forms
from infraflux.adapters.secrets.identity import create_identity, load_identities
from infraflux.config.recipients import recipient
from infraflux.core.errors import Permanent
from infraflux.core.program_output import Masker

CANARY = "canary-4f1d2c9e-do-not-print"
PLAIN = f"cluster:\n  id: cluster-id-1\n  secret: {CANARY}\ntrustdinfo:\n  token: {CANARY}-2\n"


@pytest.fixture
def identity() -> x25519.Identity:
    return x25519.Identity.generate()


@pytest.fixture
def store(tmp_path: Path, identity: x25519.Identity) -> BundleStore:
    return BundleStore(cluster="dev/dev-1", path=tmp_path / "dev" / "dev-1.talos.age", identities=[identity])


def test_what_is_created_is_read_back_and_private(store: BundleStore):
    store.create(PLAIN)
    assert store.read().text == PLAIN
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert CANARY.encode() not in store.path.read_bytes()


def test_an_existing_bundle_is_never_regenerated(store: BundleStore):
    store.create(PLAIN)
    with pytest.raises(Permanent, match="exists"):
        store.create("cluster: {id: other}\n")
    assert store.read().text == PLAIN


def test_missing_bundle_names_the_file_and_the_command(store: BundleStore):
    with pytest.raises(Permanent, match=r"dev-1\.talos\.age does not exist.*infraflux secrets init dev/dev-1"):
        store.read()


def test_wrong_identity_names_the_bundle_and_no_value(store: BundleStore):
    store.create(PLAIN)
    other = BundleStore(cluster="dev/dev-1", path=store.path, identities=[x25519.Identity.generate()])
    with pytest.raises(Permanent, match="cannot be decrypted") as caught:
        other.read()
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_recipient_can_open_it(tmp_path: Path):
    people = [x25519.Identity.generate() for _ in range(3)]
    recipients = [str(person.to_public()) for person in people]
    path = tmp_path / "bundle.age"
    BundleStore(cluster="a/b", path=path, identities=people[:1], recipients=recipients).create(PLAIN)
    for person in people:
        assert BundleStore(cluster="a/b", path=path, identities=[person]).read().text == PLAIN


def test_rotation_keeps_the_old_file_and_opens_for_the_new_recipient(store: BundleStore, identity: x25519.Identity):
    store.create(PLAIN)
    newcomer = x25519.Identity.generate()
    wider = BundleStore(
        cluster=store.cluster,
        path=store.path,
        identities=[identity],
        recipients=[str(newcomer.to_public()), str(identity.to_public())],
    )
    backup = wider.rotate(now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert backup.name == "dev-1.talos.age.20260102T030405Z.bak"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert BundleStore(cluster="a/b", path=store.path, identities=[newcomer]).read().text == PLAIN
    assert BundleStore(cluster="a/b", path=backup, identities=[identity]).read().text == PLAIN


def test_rotation_of_an_unreadable_bundle_touches_nothing(store: BundleStore):
    store.create(PLAIN)
    before = store.path.read_bytes()
    stranger = BundleStore(cluster="a/b", path=store.path, identities=[x25519.Identity.generate()])
    with pytest.raises(Permanent):
        stranger.rotate()
    assert store.path.read_bytes() == before
    assert [path.name for path in store.path.parent.iterdir()] == [store.path.name]


def test_bad_recipient_is_refused_before_anything_is_written(store: BundleStore, identity: x25519.Identity):
    bad = BundleStore(cluster="a/b", path=store.path, identities=[identity], recipients=["age1nonsense"])
    with pytest.raises(Permanent, match="no age recipient"):
        bad.create(PLAIN)
    assert not store.path.exists()


def test_representation_and_sensitive_values(store: BundleStore):
    bundle = SecretsBundle(PLAIN)
    assert CANARY not in repr(bundle)
    assert bundle.sensitive_values() == {CANARY, f"{CANARY}-2"}
    assert bundle.cluster_id == "cluster-id-1"


def test_identity_is_made_once_and_read_back(tmp_path: Path):
    path = tmp_path / "age" / "identity.txt"
    made = create_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [str(key) for key in load_identities(path.read_text(), reference="file:x")] == [str(made)]
    with pytest.raises(FileExistsError):
        create_identity(path)


@pytest.mark.parametrize("text", ["", "# only a comment\n", f"AGE-SECRET-KEY-1{CANARY}\n"])
def test_bad_identity_names_the_reference_only(text: str):
    with pytest.raises(Permanent, match="env:AGE_KEY holds no usable age identity") as caught:
        load_identities(text, reference="env:AGE_KEY")
    assert CANARY not in str(caught.value)


KEY = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY_BASE64 = base64.b64encode(KEY.encode()).decode()
KEY_LINE = KEY.splitlines()[1]


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        pytest.param(CANARY, {CANARY}, id="text"),
        pytest.param(KEY_BASE64, {KEY_BASE64, KEY_LINE}, id="base64-of-a-pem"),
        pytest.param("abc123.0123456789abcdef", {"abc123.0123456789abcdef", "0123456789abcdef"}, id="join-token"),
        pytest.param("c2VjcmV0LWJ5dGVz", {"c2VjcmV0LWJ5dGVz"}, id="base64-of-something-else"),
        pytest.param("/w==", {"/w=="}, id="base64-of-bytes"),
    ],
)
def test_every_written_form_of_a_secret_is_known(value: str, forms: set[str]):
    assert set(written_forms(value)) == forms


BUNDLE = f"cluster:\n  id: cluster-id-1\n  secret: {CANARY}\ncerts:\n  os: {{crt: x509, key: {KEY_BASE64}}}\n"


@pytest.mark.parametrize("when", ["made", "opened"])
def test_the_mask_hears_of_a_bundle_the_moment_it_is_plain(tmp_path: Path, identity: x25519.Identity, when: str):
    heard: set[str] = set()
    path = tmp_path / "b.age"
    if when == "opened":
        BundleStore(cluster="a/b", path=path, identities=[identity]).create(BUNDLE)
        BundleStore(cluster="a/b", path=path, identities=[identity], learn=heard.update).read()
    else:
        BundleStore(cluster="a/b", path=path, identities=[identity], learn=heard.update).create(BUNDLE)
    assert heard == {CANARY, KEY_BASE64, KEY_LINE}
    masked = Masker(heard)
    leak = f"config of cluster-id-1: {{key: {KEY_BASE64}, pem: {json.dumps(KEY)}, plain: {KEY}}}"
    assert "cluster-id-1" in masked(leak)
    assert not [secret for secret in (CANARY, KEY_BASE64, KEY_LINE) if secret in masked(leak)]
    assert sorted(tmp_path.iterdir()) == [path], "nothing is written for the mask"


@pytest.mark.parametrize("plain", ["just text", "- a list", f"{CANARY}: [unbalanced", "cluster: {}", ""])
def test_a_file_that_holds_no_bundle_is_refused_without_a_quote(store: BundleStore, plain: str):
    store.path.parent.mkdir()
    store.path.write_bytes(pyrage.encrypt(plain.encode(), [store.identities[0].to_public()]))
    with pytest.raises(Permanent, match="holds no Talos secrets bundle") as caught:
        store.read()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(f"contexts: {{a: {{crt: public-part, key: {KEY_BASE64}}}}}", {KEY_BASE64, KEY_LINE}, id="talos"),
        pytest.param(f"users: [{{user: {{client-key-data: {KEY_BASE64}}}}}]", {KEY_BASE64, KEY_LINE}, id="kube"),
        pytest.param(f"users: [{{user: {{token: {CANARY}}}}}]", {CANARY}, id="kube-with-a-token"),
        pytest.param("{unbalanced", set(), id="no-yaml"),
    ],
)
def test_private_keys_of_credentials_are_known(text: str, found: set[str]):
    assert credential_values(text) == found


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(public_exponent=65537, key_size=2048)],
    ids=["ed25519", "rsa"],
)
def test_an_ssh_key_is_a_recipient(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    sealed = pyrage.encrypt(b"x", [recipient(f"{public} me@home")])
    assert pyrage.decrypt(sealed, [pyrage.ssh.Identity.from_buffer(private)]) == b"x"


@pytest.mark.parametrize("text", ["age1yubikey1qgmvc3nazaanqqqqqqqqq", "age1" + "q" * 58, "ssh-rsa AAAA"])
def test_a_recipient_that_nobody_can_use_is_refused(text: str):
    with pytest.raises(pyrage.RecipientError):
        recipient(text)
