"""Talos patches are a pure, byte-stable function of the spec."""

import pytest

from infraflux.config.models.talos import Schematic
from infraflux.render.block_yaml import dump
from infraflux.render.talos import schematic_id

KNOWN_IDS = {
    # Both are published in Talos' own documentation.
    "plain Talos": (Schematic(), "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"),
    "guest agent": (
        Schematic(extensions=("siderolabs/qemu-guest-agent",)),
        "ce4c980550dd2ab1b17bbf2b08801c7eb59418eafe8f279833297925d67c7515",
    ),
}


@pytest.mark.parametrize(("schematic", "expected"), KNOWN_IDS.values(), ids=KNOWN_IDS.keys())
def test_schematic_id_is_the_image_factorys(schematic: Schematic, expected: str):
    assert schematic_id(schematic) == expected


def test_given_schematic_id_is_kept():
    assert schematic_id(Schematic(id="a" * 64)) == "a" * 64


@pytest.mark.parametrize("word", ["off", "on", "No", "yes", "null", "~"])
def test_words_that_yaml_1_1_reads_as_something_else_are_quoted(word: str):
    assert dump({"auto": word}) == f'auto: "{word}"\n'
