"""A chart's output as the clients of Kubernetes read it."""

import pytest

from infraflux.adapters.kubernetes.manifests import read_manifests, repeated_entries

AS_WRITTEN = {
    "a lone equals sign, as in the enum of matchType": ("enum: ['!=', =]", {"enum": ["!=", "="]}),
    "an equals sign as a key": ("=: 1", {"=": 1}),
    "a switch of old YAML, which Kubernetes reads": ("mode: off", {"mode": False}),
    "a version": ("tag: '1.30'", {"tag": "1.30"}),
    "sexagesimal": ("at: 12:34:56", {"at": "12:34:56"}),
}


@pytest.mark.parametrize(("text", "wanted"), AS_WRITTEN.values(), ids=AS_WRITTEN.keys())
def test_a_document_keeps_what_it_says(text: str, wanted: dict[str, object]) -> None:
    assert read_manifests(text) == [wanted]


def test_empty_documents_are_left_out() -> None:
    assert read_manifests("---\n# only a comment\n---\nkind: A\n---\n---\nkind: B\n") == [{"kind": "A"}, {"kind": "B"}]


def pod(**container: object) -> dict[str, object]:
    return {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "a", **container}]}}}}


ENTRIES = {
    "a variable twice": (pod(env=[{"name": "X"}, {"name": "Y"}, {"name": "X"}]), ["env: X"]),
    "a place mounted twice": (pod(volumeMounts=[{"mountPath": "/t"}, {"mountPath": "/t"}]), ["volumeMounts: /t"]),
    "two containers of one name": ({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}, ["containers: a"]),
    "one volume mounted at two places": (pod(volumeMounts=[{"name": "v", "mountPath": p} for p in "ab"]), []),
    "the same variable in two containers": ({"containers": [{"name": n, "env": [{"name": "X"}]} for n in "ab"]}, []),
    "a schema that has such fields": ({"properties": {"env": {"type": "array"}, "containers": {"items": {}}}}, []),
    "a list of words": ({"env": ["X", "X"]}, []),
}


@pytest.mark.parametrize(("document", "wanted"), ENTRIES.values(), ids=ENTRIES.keys())
def test_what_stands_twice_is_named(document: dict[str, object], wanted: list[str]) -> None:
    assert list(repeated_entries(document)) == wanted
