"""What the patterns of the models mean to a person; a test holds the list complete."""

NAME = "a name of 1 to 32 characters a-z, 0-9 and -, beginning with a letter, not ending with -,"

MEANINGS: dict[str, str] = {
    r"^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$": NAME,
    r"^[^\s@!]+@[a-z0-9]+![A-Za-z0-9._-]+$": "a token id such as infraflux@pve!dev",
    r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s{}$]+|age:[^\s{}$]+#[A-Za-z0-9_.-]+)$": (
        "a reference: env:NAME, file:path or age:path#key"
    ),
    r"^(https?://[^\s{}$]+|env:[A-Za-z_][A-Za-z0-9_]*|file:[^\s{}$]+)$": "a URL, env:NAME or file:path",
    r"^(https?://|ssh://|git@)[^-\s{}$][^\s{}$]*$": "an https:// or ssh:// address of a repository",
    r"^https?://[^-\s{}$][^\s{}$]*$": "an http:// or https:// address",
    r"^[A-Za-z0-9][A-Za-z0-9._/-]*$": "a branch, tag or commit",
    r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$": "a bridge such as vmbr0",
    r"^[A-Za-z][A-Za-z0-9_.-]*$": "a storage such as local-lvm",
    r"^v?\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$": "a chart version such as 1.19.3",
    r"^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$": "a version such as v1.13.9",
    r"^(machines|talos|kubernetes|gitops|\*)$": "machines, talos, kubernetes, gitops or *",
    r"^(sops-age|external-secrets|none)$": "sops-age, external-secrets or none",
    r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$": "a host label such as argocd, or *",
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$": (
        "a label key such as example.org/kind"
    ),
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$": "a label value: at most 63 of A-Z, a-z, 0-9, -, _ and .",
    r"^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$": "a host's name such as pve-1",
    r"^[A-Za-z0-9]([-A-Za-z0-9.:]{0,251}[A-Za-z0-9])?$": "an address or a DNS name",
    r"^[a-z0-9][a-z0-9.:-]*$": "a registry such as factory.talos.dev",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits",
    r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$": "a MAC address such as bc:24:11:00:00:01",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$": "a DNS name such as dev-1.example.org",
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "a mapping's name such as gpu",
    r"^[A-Za-z0-9][A-Za-z0-9._+-]*$": "a CPU type such as x86-64-v2-AES",
    r"^/dev/[a-z0-9/_-]+$": "a device such as /dev/sda",
    r"^([01]\d|2[0-3]):[0-5]\d$": "a time such as 09:30 in quotes",
    r"^age1[0-9a-z]{58}$": "an age recipient (age1...)",
    r"^[a-z0-9]+/[a-z0-9][a-z0-9.-]*$": "an extension such as siderolabs/qemu-guest-agent",
}
