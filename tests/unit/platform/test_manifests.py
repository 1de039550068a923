"""What YAML 1.1 would make of a chart's output, and what it has to be."""

import pytest

from infraflux.adapters.manifests import read_manifests

AS_WRITTEN = {
    "a lone equals sign, as in the enum of matchType": ("enum: ['!=', =]", {"enum": ["!=", "="]}),
    "an equals sign as a key": ("=: 1", {"=": 1}),
    "a switch of old YAML": ("mode: off", {"mode": "off"}),
    "a version": ("tag: '1.30'", {"tag": "1.30"}),
    "sexagesimal": ("at: 12:34:56", {"at": "12:34:56"}),
}


@pytest.mark.parametrize(("text", "wanted"), AS_WRITTEN.values(), ids=AS_WRITTEN.keys())
def test_a_document_keeps_what_it_says(text: str, wanted: dict[str, object]) -> None:
    assert read_manifests(text) == [wanted]


def test_empty_documents_are_left_out() -> None:
    assert read_manifests("---\n# only a comment\n---\nkind: A\n---\n---\nkind: B\n") == [{"kind": "A"}, {"kind": "B"}]
