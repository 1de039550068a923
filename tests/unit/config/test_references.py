"""Which texts are references, and what is left of a patch when the secrets are put in: every other byte."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from infraflux.config.references import Scalar, put_in

TABLE = {
    "plain": ("password: env:REGISTRY # note\n", 'password: "<env:REGISTRY>" # note\n'),
    "quoted": ("a: 'env:A'\nb: \"age:s.age#k\"\n", 'a: "<env:A>"\nb: "<age:s.age#k>"\n'),
    "behind a name": ("environment: [TS_AUTHKEY=env:KEY, A=b]\n", 'environment: ["TS_AUTHKEY=<env:KEY>", A=b]\n'),
    "after an anchor and a tag": ("a: &x !!str env:A\n", 'a: &x !!str "<env:A>"\n'),
    "in each document": ("a: env:A\n---\nb: file:s/key\n", 'a: "<env:A>"\n---\nb: "<file:s/key>"\n'),
    "octal and comments stay": ("mode: 0o644 # é\nx:   env:A\n", 'mode: 0o644 # é\nx:   "<env:A>"\n'),
    "a key is none": ("env:A: 1\n", "env:A: 1\n"),
    "a part of a text is none": ("a: see env:A\nb: |\n  env:A\n", "a: see env:A\nb: |\n  env:A\n"),
    "a URL is none": ("a: file:///etc/x\n", "a: file:///etc/x\n"),
    "a block scalar": ("a: |-\n  env:A\nb: >-\n  env:B\n\nc: 1\n", 'a: "<env:A>"\nb: "<env:B>"\n\nc: 1\n'),
    "in flow style without spaces": ('{"a":env:A,"b":[env:B]}\n', '{"a":"<env:A>","b":["<env:B>"]}\n'),
    "after a tab": ("a:\tenv:A\nb: [env:B,\tc]\n", 'a:\t"<env:A>"\nb: ["<env:B>",\tc]\n'),
    "beyond the first plane": ("a: \U0001f511 # é\nb: env:A\n", 'a: \U0001f511 # é\nb: "<env:A>"\n'),
    "an alias repeats it": ("a: &x env:A\nb: *x\n", 'a: &x "<env:A>"\nb: *x\n'),
    "a key with an anchor is none": ("&x env:A: 1\n", "&x env:A: 1\n"),
    "an explicit key is none": ("? env:A\n: env:B\n", '? env:A\n: "<env:B>"\n'),
    "windows line ends": ("a: env:A\r\nb: 1\r\n", 'a: "<env:A>"\r\nb: 1\r\n'),
    "no YAML": ('a: env:A\nb: "\n', 'a: env:A\nb: "\n'),
}


@pytest.mark.parametrize(("text", "expected"), TABLE.values(), ids=TABLE.keys())
def test_references_are_put_in_and_nothing_else_is_touched(text: str, expected: str):
    assert put_in(text, lambda reference: f"<{reference}>") == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_the_secret_is_made_of_arrives_as_it_is(secret: str):
    text = put_in("a: {b: [env:X, K=env:X]}\n", lambda _: secret)
    assert YAML(typ="safe", pure=True).load(text) == {"a": {"b": [secret, f"K={secret}"]}}


LOOKS = {
    ("machine", "registries", "password"): ("hunter2", True),
    ("wireguard", "privateKey"): ("abc", True),
    ("keys", 0, "static", "passphrase"): ("abc", True),
    ("environment", 0): ("TS_AUTHKEY=abc", True),
    ("environment", 1): ("LOG_LEVEL=debug", False),
    ("files", 0, "content"): ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc", True),
    ("proxy",): ("http://user:pass@10.0.0.1:3128", True),
    ("mirror",): ("http://user@10.0.0.1:3128", False),
    ("auth", "password"): ("env:PASSWORD", False),
    ("auth", "existingSecret"): ("registry-login", False),
    ("auth", "secretName"): ("registry-login", False),
    ("apiTokenSecretRef", "name"): ("cloudflare", False),
    ("admin", "passwordKey"): ("password", False),
    ("tls", "crt"): ("-----BEGIN CERTIFICATE-----\nabc", False),
    ("auth", "token"): ("", False),
    ("tls", "clientIdentity", "key"): (b64encode(b"-----BEGIN EC PRIVATE KEY-----\nabc").decode(), True),
    ("tls", "ca"): (b64encode(b"-----BEGIN CERTIFICATE-----\nabc").decode(), False),
    ("config", "registry.example.org", "auth", "auth"): (b64encode(b"puller:hunter2").decode(), True),
    ("auth",): ("enabled-for-all", False),
    ("cluster", "aescbcEncryptionSecret"): ("abc", True),
    ("extraArgs", "oidc-client-secret"): ("abc", True),
    ("receivers", 0, "api_url"): ("https://hooks.slack.com/services/T0/B0/abc", True),
    ("inlineManifests", 0, "contents"): ("kind: Secret\nmetadata: {name: a}\nstringData:\n  a: b\n", True),
    ("inlineManifests", 1, "contents"): ("data:\n  a: Yg==\nkind: Secret\n", True),
    ("inlineManifests", 2, "contents"): ("kind: ConfigMap\ndata:\n  a: kind is Secret\n", False),
    ("inlineManifests", 3, "contents"): ("kind: SecretStore\nspec:\n  data: a\n", False),
    ("env", 0, "value"): ("github_pat_" + "a" * 30, True),
    ("env", 1, "value"): ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2ln", True),
    ("extraArgs", "tls-private-key-file"): ("/etc/tls.key", False),
    ("serviceAccount", "tokenAudience"): ("vault", False),
}


@pytest.mark.parametrize(("path", "text", "expected"), [(path, *row) for path, row in LOOKS.items()])
def test_what_looks_like_a_secret(path, text: str, expected: bool):
    assert Scalar(path, text).looks_secret is expected


MEANT = {
    ("adminPassword",): ("env:grafana", True),
    ("adminPassword", "x"): ("file:secrets/grafana", False),
    ("grafana", "admin-password"): ("file:secrets/grafana", True),
    ("url",): ("env:WEBHOOK_URL", True),
    ("tags", 0): ("env:prod", False),
    ("config",): ("file:/etc/config.yaml", False),
    ("any",): ("age:secrets.age#key", True),
}


@pytest.mark.parametrize(("path", "text", "expected"), [(path, *row) for path, row in MEANT.items()])
def test_a_reference_is_told_from_a_text_of_that_form(path, text: str, expected: bool):
    assert Scalar(path, text).is_meant_as_one is expected


@pytest.mark.parametrize("text", ["env:", "env:1A", "K=env:a-b", "age:secrets.age", "age:#key"])
def test_what_was_meant_as_a_reference(text: str):
    assert Scalar(("a",), text).is_almost_one
