"""Versions that go together."""

from collections.abc import Iterator

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.matrix import KnownVersion, find_release, matrix, minor_text
from infraflux.config.models.talos import Versions


def _minors(releases: tuple[KnownVersion, ...]) -> str:
    return ", ".join(f"v{release.version}.x" for release in releases)


@needs("versions")
def talos_runs_this_kubernetes(subject: Subject) -> Iterator[Finding]:
    versions = subject.spec.versions
    release = find_release(matrix().talos, versions.talos)
    if release is None:
        wrong = f"Talos {versions.talos} is not in the version matrix"
        yield Finding(("versions", "talos"), wrong, f"one of {_minors(matrix().talos)} is known")
    elif minor_text(versions.kubernetes) not in release.allowed:
        allowed = ", ".join(f"v{one}.x" for one in release.allowed)
        yield Finding(
            ("versions", "kubernetes"),
            f"Talos {versions.talos} does not run {versions.kubernetes}",
            f"it runs {allowed}",
        )


@needs("versions", "platform")
def charts_run_on_this_kubernetes(subject: Subject) -> Iterator[Finding]:
    versions: Versions = subject.spec.versions
    for component in subject.spec.platform.components:
        known = matrix().chart(component.name)
        if not component.enabled or not known:
            continue
        path = ("platform", "components", component.name, "version")
        release = find_release(known, component.version)
        if release is None:
            wrong = f"{component.name} {component.version} is not in the version matrix"
            yield Finding(path, wrong, f"one of {_minors(known).replace('v', '')} is known")
        elif minor_text(versions.kubernetes) not in release.allowed:
            allowed = ", ".join(f"v{one}.x" for one in release.allowed)
            wrong = f"{component.name} {component.version} does not run on Kubernetes {versions.kubernetes}"
            yield Finding(path, wrong, f"it runs on {allowed}")
