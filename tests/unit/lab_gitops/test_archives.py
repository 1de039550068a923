import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from infraflux_lab.gitops.archives import STANDIN_CHARTS, ChartError, collect, index, package_chart, read_archive


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    directory = tmp_path / "charts" / "web"
    (directory / "templates").mkdir(parents=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: '4'\n")
    (directory / "templates" / "a.yaml").write_text("kind: ConfigMap\n")
    return directory


def test_equal_files_are_an_equal_archive(chart: Path) -> None:
    first = package_chart(chart)
    os.utime(chart / "Chart.yaml", (0, 0))
    (chart / "templates" / "a.yaml").chmod(0o755)

    assert package_chart(chart).data == first.data
    with tarfile.open(fileobj=io.BytesIO(first.data)) as archive:
        assert archive.getnames() == ["web/Chart.yaml", "web/templates/a.yaml"]


def test_an_archive_of_the_users_replaces_the_stand_in(chart: Path, tmp_path: Path) -> None:
    other = chart.parent / "db"
    other.mkdir()
    (other / "Chart.yaml").write_text("apiVersion: v2\nname: db\nversion: 0.1.0\n")
    given = tmp_path / "given"
    given.mkdir()
    (given / "web-9.9.9.tgz").write_bytes(package_chart(chart).data)

    found = collect(standins=chart.parent, given=given)

    assert [(one.name, one.simulated) for one in found] == [("web", False), ("db", True)]


@pytest.mark.parametrize(("there", "said"), [(True, "no chart archives"), (False, "no directory")])
def test_a_directory_without_archives_is_refused(chart: Path, tmp_path: Path, there: bool, said: str) -> None:
    given = tmp_path / "given"
    if there:
        given.mkdir()
    with pytest.raises(ChartError, match=said):
        collect(standins=chart.parent, given=given)


def test_the_index_names_every_archive_with_its_digest(chart: Path) -> None:
    archive = package_chart(chart)

    entry = YAML(typ="safe").load(index([archive]))["entries"]["web"][0]

    assert entry["urls"] == ["web-1.2.3.tgz"]
    assert entry["digest"] == hashlib.sha256(archive.data).hexdigest()
    assert entry["appVersion"] == "4"


@pytest.mark.parametrize("content", [b"", b"no archive"], ids=["empty", "text"])
def test_a_file_that_is_no_chart_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "web-1.0.0.tgz"
    path.write_bytes(content)

    with pytest.raises(ChartError, match=r"web-1\.0\.0\.tgz: not a chart archive"):
        read_archive(path)


def test_a_chart_without_a_version_is_named(chart: Path) -> None:
    (chart / "Chart.yaml").write_text("name: web\n")

    with pytest.raises(ChartError, match="names no chart and version"):
        package_chart(chart)


def test_every_stand_in_of_the_lab_is_a_chart() -> None:
    found = collect(standins=STANDIN_CHARTS, given=None)

    assert {"argo-cd", "cert-manager", "cilium", "kube-prometheus-stack"} <= {one.name for one in found}
    assert all(one.simulated for one in found)
