"""Clashes that need two environments to show."""

from types import ModuleType

from fakes.specs import make_spec

from infraflux.config import checks
from infraflux.config.checks.finding import Check
from infraflux.config.fleet_checks import fleet_findings


def test_two_clusters_never_own_one_tag():
    one = make_spec(environment="dev", name="x-1")
    other = make_spec(environment="dev-x", name="1")
    found = fleet_findings({one.key: one, other.key: other}, environments=("dev", "dev-x"))
    said = [(key, finding.path, finding.wrong) for key, finding in found if finding.path == ("name",)]
    assert said == [("dev-x/1", ("name",), "ownership tag infraflux-dev-x-1 is also used by dev/x-1")]


def test_the_clusters_of_an_environment_share_what_one_state_holds():
    one, other = make_spec(), make_spec(name="dev-2", proxmox=OTHER)
    found = fleet_findings({one.key: one, other.key: other}, environments=("dev",))
    said = {finding.path: finding.wrong for _, finding in found if finding.right.startswith("set it in the environ")}
    assert said == {
        ("proxmox", "pool"): "k8s differs from infraflux-dev of dev/dev-1, and an environment has one for all",
        ("proxmox", "storage", "images"): "nfs differs from local of dev/dev-1, and an environment has one for all",
    }


OTHER = {
    "endpoint": "https://10.0.0.2:8006",
    "token": {"id": "infraflux@pve!dev", "secret": "env:PROXMOX_TOKEN"},
    "hosts": [{"name": "pve-1"}],
    "storage": {"disks": "local-lvm", "images": "nfs"},
    "bridge": {"name": "vmbr0"},
    "pool": "k8s",
}


def test_every_check_of_the_modules_is_in_the_list():
    modules = [module for name, module in vars(checks).items() if isinstance(module, ModuleType)]
    written = {id(one) for module in modules for one in vars(module).values() if isinstance(one, Check)}
    assert written == {id(one) for one in checks.CHECKS}
