"""Arguments that Talos gives to the programs it runs and lets nobody change: with one of them the program never starts.

talosctl does not look at them; machined does, once the machine is there. Talos v1.13.9, internal/app/machined/pkg:
controllers/k8s/control_plane_static_pod.go and kubelet_spec.go (MergeDenied), system/services/etcd.go (denyListArgs).
"""

from collections.abc import Iterator, Mapping

from infraflux.config.checks.finding import Finding, Subject, needs
from infraflux.config.checks.patch_documents import patch_documents, value_at

_DENIED = {
    "cluster.apiServer": (
        "authorization-config client-ca-file encryption-provider-config etcd-cafile etcd-certfile etcd-keyfile"
        " etcd-servers kubelet-client-certificate kubelet-client-key proxy-client-cert-file proxy-client-key-file"
        " requestheader-client-ca-file service-account-key-file service-account-signing-key-file tls-cert-file"
        " tls-private-key-file"
    ),
    "cluster.controllerManager": (
        "authentication-kubeconfig authorization-kubeconfig cluster-signing-cert-file cluster-signing-key-file"
        " root-ca-file service-account-private-key-file"
    ),
    "cluster.scheduler": "authentication-kubeconfig authorization-kubeconfig config kubeconfig",
    "cluster.etcd": (
        "auto-tls cert-file client-cert-auth data-dir experimental-compact-hash-check-enabled"
        " experimental-initial-corrupt-check experimental-watch-progress-notify-interval key-file listen-client-urls"
        " listen-peer-urls name peer-auto-tls peer-cert-file peer-client-cert-auth peer-key-file peer-trusted-ca-file"
        " trusted-ca-file"
    ),
    "machine.kubelet": "bootstrap-kubeconfig cert-dir config container-runtime container-runtime-endpoint kubeconfig",
}
PROGRAMS = {
    "cluster.apiServer": "kube-apiserver",
    "cluster.controllerManager": "kube-controller-manager",
    "cluster.scheduler": "kube-scheduler",
    "cluster.etcd": "etcd",
    "machine.kubelet": "the kubelet",
}
DENIED = {program: frozenset(names.split()) for program, names in _DENIED.items()}


@needs("talos")
def arguments_are_not_those_of_talos(subject: Subject) -> Iterator[Finding]:
    for patch in patch_documents(subject.spec.talos.patches, subject.root):
        for program, denied in DENIED.items():
            given = value_at(patch.document, f"{program}.extraArgs")
            if patch.kind or not isinstance(given, Mapping):
                continue
            for name in sorted(denied & set(given)):
                wrong = f"{program}.extraArgs.{name} is set by Talos itself, and {PROGRAMS[program]} would not start"
                yield patch.blame(wrong, "remove it")
