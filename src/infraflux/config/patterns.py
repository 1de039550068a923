"""Every pattern of the models: what it means to a person, and the source of the rule it is.

A pattern is as wide as what it names. Nothing here keeps an option out of a command line: programs get their arguments
one by one and behind `--`, and files by paths that begin at the root.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """What a text must look like; tests hold a table of accepted and refused texts for each."""

    regex: str
    meaning: str
    """Ends a message: `... is expected`."""
    source: str
    """Where the rule is written down."""


_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_OCI_PATH = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_OCI_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\]"
_ENV = r"env:[A-Za-z_][A-Za-z0-9_]*"
_FILE = r"file:[^\s{}]([^\r\n\t{}]*[^\s{}])?"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._%+-]*"
_BECH32 = r"[02-9ac-hj-np-z]"
_REF_WORD = r"[^\s\x00-\x20\x7f~^:?*\[\\{}/.]"
_REF_PART = rf"{_REF_WORD}+(\.{_REF_WORD}+)*\.?"
_SEMVER_TAIL = r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"

_PVE = "Proxmox VE, pve-common src/PVE/JSONSchema.pm, "
_DISTRIBUTION = "https://github.com/distribution/reference/blob/main/reference.go (grammar)"

NAME = Pattern(
    r"^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$",
    "a name of 1 to 32 characters a-z, 0-9 and -, neither beginning nor ending with -,",
    "a DNS label (RFC 1123), not longer than a Cilium cluster name: "
    "https://docs.cilium.io/en/v1.19/network/clustermesh/clustermesh/ (cluster.name)",
)
NODE_NAME = Pattern(
    f"^{_LABEL}$",
    "a name of 1 to 63 characters a-z, 0-9 and -, neither beginning nor ending with -,",
    "a DNS label (RFC 1123): host names of Talos v1.13.9 (config/types/network/hostname.go), VM names of Proxmox "
    f"({_PVE}dns-name), names of Kubernetes (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)",
)
TOKEN_ID = Pattern(
    r"^[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$",
    "a token id such as infraflux@pve!dev",
    "Proxmox VE, pve-access-control src/PVE/AccessControl.pm, token_full_regex; "
    "src/PVE/Auth/Plugin.pm, user_regex and realm_regex",
)
HOST = Pattern(r"^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$", "a host's name such as pve-1", _PVE + "pve-node")
STORAGE = Pattern(
    r"^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$",
    "a storage such as local-lvm (a letter first, a letter or digit last)",
    _PVE + "pve-storage-id",
)
BRIDGE = Pattern(
    r"^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,14}$",
    "a bridge or VNet such as vmbr0, of at most 15 characters",
    _PVE + "pve-bridge-id; Linux, include/uapi/linux/if.h, IFNAMSIZ",
)
POOL = Pattern(
    r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$",
    "a resource pool such as kubernetes, or one of up to three levels such as home/kubernetes",
    "Proxmox VE, pve-access-control 9.1.1 src/PVE/AccessControl.pm, verify_poolname (pve-poolid)",
)
TAG = Pattern(
    r"^[a-z0-9_][a-z0-9_.+-]*$",
    "a tag of a-z, 0-9, _, ., + and - (Proxmox stores tags in lower case)",
    _PVE + "pve-tag",
)
MAPPING = Pattern(r"^[A-Za-z][A-Za-z0-9_-]+$", "a mapping's name such as gpu", _PVE + "pve-configid")
MAC = Pattern(
    r"^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$",
    "a MAC address of one card, such as bc:24:11:00:00:01,",
    _PVE + "mac-addr",
)
CPU_TYPE = Pattern(
    r"^(custom-[^\s,={}]+|[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)$",
    "a CPU type such as x86-64-v2-AES, or custom-<name>",
    "Proxmox VE, qemu-server 9.2.6 src/PVE/QemuServer/CPUConfig.pm: parse_section_header names custom models, as "
    "pve-common src/PVE/SectionConfig.pm reads such a name; `,` and `=` are of the property string (JSONSchema.pm). "
    "Which built-in ones there are: checks/cpu_types.py",
)
SECRET_REF = Pattern(
    rf"^({_ENV}|{_FILE}|age:[^\s{{}}][^\r\n\t{{}}]*#[A-Za-z0-9_.-]+)$",
    "a reference: env:NAME, file:path or age:path#key",
    "docs/configuration.md, Secrets; names of variables: POSIX.1-2024, 8.1 Environment Variable Definition",
)
SECRET_REF_OR_URL = Pattern(
    rf"^(https?://[^\s{{}}]+|{_ENV}|{_FILE})$",
    "a URL, env:NAME or file:path",
    "docs/configuration.md, Secrets; RFC 3986",
)
URL = Pattern(r"^https?://[A-Za-z0-9_\[][^\s{}]*$", "an http:// or https:// address", "RFC 3986, 3.2 and 3.3")
GIT_URL = Pattern(
    rf"^(https?://[A-Za-z0-9_\[][^\s{{}}]*|ssh://({_USER}@)?[A-Za-z0-9_\[][^\s{{}}@/]*(/[^\s{{}}]*)?|"
    rf"{_USER}@([A-Za-z0-9_][^\s{{}}@/:]*|\[[0-9A-Fa-f:]+\]):[^\s{{}}]+)$",
    "an https:// or ssh:// address of a repository, or user@host:path,",
    "https://git-scm.com/docs/git-clone#_git_urls; ext:: and file:// run code or read local files",
)
GIT_REMOTE = Pattern(
    rf"^{_REF_PART}(/{_REF_PART})*$",
    "a Git remote such as origin",
    "git, refspec.c, valid_remote_name: refs/remotes/<name>/test passes https://git-scm.com/docs/git-check-ref-format",
)
REVISION = Pattern(
    r"^[^-/\s\x00-\x20\x7f~^:?*\[\\{}][^\s\x00-\x20\x7f~^:?*\[\\{}]*$",
    "a branch, tag or commit",
    "https://git-scm.com/docs/git-check-ref-format",
)
CHART_VERSION = Pattern(
    rf"^v?\d+\.\d+\.\d+{_SEMVER_TAIL}(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
    "a chart version such as 1.19.3",
    "https://semver.org/, as https://helm.sh/docs/topics/charts/ asks for it",
)
VERSION = Pattern(
    rf"^v\d+\.\d+\.\d+{_SEMVER_TAIL}$",
    "a version such as v1.13.9",
    "https://semver.org/ with the v of Talos' and Kubernetes' tags",
)
TLS_HOST = Pattern(
    rf"^(\*|{_LABEL})$",
    "a host label such as argocd, or *",
    "https://gateway-api.sigs.k8s.io/reference/spec/#hostname, one label below the cluster's domain",
)
LABEL_KEY = Pattern(
    rf"^({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$",
    "a label key such as example.org/kind",
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set",
)
LABEL_VALUE = Pattern(
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
    "a label value: at most 63 of A-Z, a-z, 0-9, -, _ and .",
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set",
)
DNS_NAME = Pattern(
    rf"^{_LABEL}(\.{_LABEL})+$",
    "a DNS name such as dev-1.example.org",
    "RFC 1123, 2.1; at least two labels, for people",
)
CLUSTER_DOMAIN = Pattern(
    rf"^{_LABEL}(\.{_LABEL})*$",
    "a DNS name such as cluster.local",
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names",
)
TIME_SERVER = Pattern(
    r"^(/dev/[A-Za-z0-9][A-Za-z0-9_/.-]*|[A-Za-z0-9:]([-A-Za-z0-9_.:]{0,251}[A-Za-z0-9:.])?)$",
    "an address or a DNS name, or a clock such as /dev/ptp0,",
    "Talos v1.13.9, internal/pkg/ntp/ntp.go (IsPTPDevice: /dev/...); RFC 1123 and RFC 4291 for hosts",
)
REGISTRY = Pattern(
    rf"^({_OCI_HOST})(:[0-9]+)?(/{_OCI_PATH})*$",
    "a registry such as factory.talos.dev, with a path or not,",
    _DISTRIBUTION,
)
EXTENSION = Pattern(rf"^{_OCI_PATH}(/{_OCI_PATH})+$", "an extension such as siderolabs/qemu-guest-agent", _DISTRIBUTION)
SHA256 = Pattern(r"^[0-9a-f]{64}$", "64 hexadecimal digits", "FIPS 180-4, as the image factory and sha256sum write it")
DEVICE = Pattern(
    r"^/dev/[A-Za-z0-9#+\-.:=@_][A-Za-z0-9#+\-.:=@_/]*$",
    "a device such as /dev/sda",
    "systemd, udev(7): characters of device nodes and links",
)
TIME = Pattern(r"^([01]\d|2[0-3]):[0-5]\d$", "a time such as 09:30 in quotes", "ISO 8601, hh:mm")
AGE_RECIPIENT = Pattern(
    rf"^(age1{_BECH32}{{58}}|age1[a-z0-9+._-]+1{_BECH32}{{6,}}|ssh-(ed25519|rsa) [A-Za-z0-9+/]+=*( [^\r\n]*)?)$",
    "an age recipient (age1..., or an SSH key such as ssh-ed25519 AAAA...)",
    "https://github.com/C2SP/C2SP/blob/main/age.md (X25519, bech32), age-plugin.md (plugins), age(1) (SSH keys)",
)
DRIFT_LAYER = Pattern(
    r"^(machines|talos|kubernetes|gitops|\*)$", "machines, talos, kubernetes, gitops or *", "docs/drift.md, layers"
)
SECRET_MANAGEMENT = Pattern(
    r"^(sops-age|external-secrets|none)$", "sops-age, external-secrets or none", "docs/handoff.md, secrets"
)

PATTERNS: dict[str, Pattern] = {name: one for name, one in list(globals().items()) if isinstance(one, Pattern)}
"""Every pattern by the name it has here."""

MEANINGS: dict[str, str] = {one.regex: one.meaning for one in PATTERNS.values()}
"""What a message says in place of a regular expression."""
