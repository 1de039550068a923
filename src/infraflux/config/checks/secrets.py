"""Secrets in patches and Helm values: references where they work, and never the secret itself."""

from collections.abc import Iterator

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import patch_documents
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import Path, dotted
from infraflux.config.recipients import is_recipient
from infraflux.config.references import holds_secret, scalars

REFERENCE = "env:NAME, file:path or age:path#key"


@needs("talos")
def patches_refer_to_secrets(subject: Subject) -> Iterator[Finding]:
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for scalar in scalars(patch.document):
            where = dotted(scalar.path)
            if scalar.is_almost_one:
                yield patch.blame(f"the value at {where} is not a reference", f"{REFERENCE} is expected")
            elif scalar.looks_secret:
                wrong = f"the value at {where} (not shown) looks like a secret, and everybody who can read Git has it"
                yield patch.blame(wrong, f"{REFERENCE} works there", warning=True)


@needs("platform")
def values_hold_no_reference_and_no_secret(subject: Subject) -> Iterator[Finding]:
    """Values are shown in plans and kept in Terraform's state and in the cluster as they are."""
    for component in subject.spec.platform.components:
        for scalar in scalars(component.values):
            path: Path = ("platform", "components", component.name, "values", *scalar.path)
            right = "name a Secret of the cluster, as most charts take one (existingSecret), and bring that one"
            if scalar.is_meant_as_one:
                wrong = f"a reference is not resolved in Helm values: the chart would get the text {scalar.text!r}"
                yield Finding(path, wrong, f"references work in talos.patches; here, {right}")
            elif scalar.looks_secret:
                wrong = "this looks like a secret (not shown), and everybody who can read Git has it"
                yield Finding(path, wrong, right, warning=True)


@needs("gitops")
def addresses_of_repositories_hold_no_password(subject: Subject) -> Iterator[Finding]:
    for name in ("platform", "application"):
        if holds_secret(getattr(subject.spec.gitops, name).url):
            wrong = "the password in this address (not shown) is in Git, in Terraform's state and on the cluster"
            yield Finding(("gitops", name, "url"), wrong, f"give gitops.{name}.credentials: {REFERENCE}", warning=True)


@needs("gitops", "platform", "policy", "hooks")
def nothing_else_holds_a_secret(subject: Subject) -> Iterator[Finding]:
    for path, text, right in _elsewhere(subject.spec):
        if holds_secret(text):
            wrong = "this looks like a secret (not shown), and everybody who can read Git has it"
            yield Finding(path, wrong, right, warning=True)


def _elsewhere(spec: ClusterSpec) -> Iterator[tuple[Path, str, str]]:
    """Texts in which people put secrets all the same: path, text, where the secret belongs."""
    charts = "a mirror that asks for no password inside your network is expected"
    yield ("platform", "chart_repository"), spec.platform.chart_repository or "", charts
    for component in spec.platform.components:
        yield ("platform", "components", component.name, "repository"), component.repository or "", charts
    yield ("policy", "drift", "notify_url"), spec.policy.drift.notify_url or "", "env:NAME or file:path works here"
    for key, text in spec.gitops.facts.items():
        yield (
            ("gitops", "facts", key),
            text,
            "every ApplicationSet reads facts: keep it in a Secret",
        )
    for hook in spec.hooks:
        for index, word in enumerate(hook.run):
            yield ("hooks", hook.name, "run", index), word, "let the program read it from its environment or a file"


@needs("secrets")
def recipients_are_whole(subject: Subject) -> Iterator[Finding]:
    for index, text in enumerate(subject.spec.secrets.recipients):
        if not is_recipient(text):
            wrong = f"{text!r} is not an age recipient: its checksum does not fit, or it is cut off"
            yield Finding(("secrets", "recipients", index), wrong, "copy it again, as `age-keygen -y` prints it")
