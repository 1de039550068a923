"""Clashes that need two environments to show."""

from fakes.specs import make_spec

from infraflux.config.fleet_checks import fleet_findings


def test_two_clusters_never_own_one_tag():
    one = make_spec(environment="dev", name="x-1")
    other = make_spec(environment="dev-x", name="1")
    found = fleet_findings({one.key: one, other.key: other}, environments=("dev", "dev-x"))
    said = [(key, finding.path, finding.wrong) for key, finding in found if finding.path == ("name",)]
    assert said == [("dev-x/1", ("name",), "ownership tag infraflux-dev-x-1 is used by dev/x-1 too")]
