"""The simulated hardware as it is written down."""

from pathlib import Path

import pytest

from infraflux_lab.spec import load_spec
from infraflux_lab.state import LabError

SHIPPED = Path(__file__).parents[3] / "config" / "lab.yaml"


def test_shipped_spec() -> None:
    spec = load_spec(SHIPPED)
    assert {name: str(env.address) for name, env in spec.environments.items()} == {
        "dev": "127.77.1.2",
        "staging": "127.77.2.2",
        "prod": "127.77.3.2",
    }
    assert [len(env.hosts) for env in spec.environments.values()] == [2, 3, 3]


def test_another_net_moves_every_address() -> None:
    spec = load_spec(SHIPPED, net="127.5")
    assert "127.77" not in spec.model_dump_json()
    assert str(spec.image_factory.address) == "127.5.0.3"


def test_what_machines_run_is_said_at_the_start() -> None:
    assert load_spec(SHIPPED).talos == "simulated"
    assert load_spec(SHIPPED, talos="real").talos == "real"
    with pytest.raises(LabError, match="talos: Input should be 'simulated' or 'real'"):
        load_spec(SHIPPED, talos="actual")


MISTAKES = {
    "typo": ("latency:", "latncy:", "latncy: Extra inputs are not permitted"),
    "unknown profile": ("profile: zero", "profile: fast", "unknown profile 'fast', there are: zero, real"),
    "address elsewhere": ("address: 127.77.1.2", "address: 10.0.0.1", "outside net 127.77: 10.0.0.1"),
    "no cores": ("cores: 64", "cores: 0", "environments.prod.hosts.pve-prod-1.cores"),
    "not a token": ("infraflux@pve!dev", "infraflux", "environments.dev.tokens.0.id"),
    "not YAML": ("net: ", "net: [", "not valid YAML"),
}


@pytest.mark.parametrize(("old", "new", "text"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_name_their_place(tmp_path: Path, old: str, new: str, text: str) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(SHIPPED.read_text().replace(old, new))
    with pytest.raises(LabError) as raised:
        load_spec(path)
    assert str(path) in str(raised.value)
    assert text in str(raised.value)


def test_no_spec(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is not there"):
        load_spec(tmp_path / "lab.yaml")
