"""Each pattern against names that its source takes and refuses; a pattern without a table fails.

The sources are named beside the patterns. Rows that came from people's own configurations say so.
"""

import re
from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from infraflux.config import patterns
from infraflux.config.models.base import KernelArgument, LabelKey, MacAddress, Text
from infraflux.config.patterns import PATTERNS
from infraflux.core.process import run

X25519 = "age1" + "q" * 58
SSH_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
TRAPS = ("", "a\n", "\n", "${a}", "{{ a }}", "a\x00b")
"""What no pattern takes: nothing, line ends, and what a template would read."""

TABLES: dict[str, tuple[list[str], list[str]]] = {
    "NAME": (
        ["a", "dev-1", "00-infra", "2nd", "a" * 32, "7"],
        ["-a", "a-", "A", "a_b", "a.b", "a" * 33, "../a", "a b"],
    ),
    "NODE_NAME": (
        ["cp1", "2nd-control-plane", "frankfurt-rack-07-kubernetes-control-plane", "a" * 63],
        ["cp1.example.net", "-a", "a-", "CP1", "a_b", "a" * 64],
    ),
    "TOKEN_ID": (
        [
            "infraflux@pve!dev",
            "root@pam!t1",
            "first.last@corp-ad!ci_token",
            "user@example.org@ldap!k8s-1.x",
            "a+b@pve!xy",
        ],
        [
            "infraflux@pve",
            "infraflux!dev",
            "@pve!dev",
            "a b@pve!dev",
            "a:b@pve!dev",
            "a@1pve!dev",
            "a@pve!1dev",
            "a@pve!x",
        ],
    ),
    "HOST": (["pve1", "PVE-2", "1", "a" * 63], ["pve.example", "-pve", "pve-", "pve_1", "a" * 64]),
    "STORAGE": (
        ["local", "local-lvm", "ceph_rbd.fast", "ZFS1", "rpool2"],
        ["a", "1ocal", "local-", "local_", "-local", "local lvm", "local/lvm"],
    ),
    "BRIDGE": (
        ["vmbr0", "vmbr0.100", "vmbr_lan", "k8s", "0br", "a" * 15],
        ["vmbr 0", "vmbr0/1", "a" * 16, "-vmbr0"],
    ),
    "POOL": (
        ["infraflux-dev", "K8s_Home", "home/kubernetes", "a/b/c", "1.2", "-", "..", ".a/-b/_c"],
        ["a/b/c/d", "/a", "a/", "a//b", "a b", "a+b", "a,b", "ä", "a@b", "a:b"],
    ),
    "TAG": (["k8s_home", "talos-1.13", "_a", "c++", "9"], ["Prod", "-a", ".a", "+a", "a b", "a;b", "a,b"]),
    "MAPPING": (["gpu", "RTX_4000-1", "ab"], ["a", "1gpu", "gpu.1", "gpu 1", "_gpu"]),
    "MAC": (
        ["bc:24:11:00:00:01", "BC:24:11:AA:BB:CC", "02:00:00:00:00:0a"],
        ["01:00:5e:00:00:01", "bc-24-11-00-00-01", "bc:24:11:00:00", "bc:24:11:00:00:0g", "b:24:11:00:00:01"],
    ),
    "CPU_TYPE": (
        [
            "host",
            "x86-64-v2-AES",
            "Opteron_G5",
            "Skylake-Client-noTSX-IBRS",
            "486",
            "custom-talos",
            "custom-my.cpu+x:2",
        ],
        ["host,flags=+aes", "cputype=host", "my cpu", "custom-", "custom-a,b", "custom-a=b", "a.b"],
    ),
    "SECRET_REF": (
        [
            "env:TOKEN",
            "env:_a1",
            "file:.infraflux/token",
            "file:/etc/My Secrets/token",
            "file:~/x$1",
            "age:s/a.age#key.1",
        ],
        ["TOKEN", "env:", "env:1A", "env:A-B", "file:", "file: x", "age:s/a.age", "age:#key", "vault:x"],
    ),
    "SECRET_REF_OR_URL": (
        ["https://hooks.example.org/T/B?x=$y", "env:HOOK", "file:a b"],
        ["hooks.example.org", "ftp://a", "https://"],
    ),
    "URL": (
        ["https://pve.example.org:8006", "http://10.0.0.1/x", "https://[fd00::1]:8006", "https://a/x;y=$1,2?q=a&b#c"],
        ["https://", "https://-a", "ftp://a", "a.example.org", "https://a b"],
    ),
    "GIT_URL": (
        [
            "https://git.example.org/a.git",
            "ssh://git@git.example.org:2222/a.git",
            "ssh://git.example.org/a",
            "git@github.com:a/b.git",
            "gitea@git.example.org:a/b.git",
            "org-123456@github.com:a/b",
            "ssh://APKAEXAMPLE@git-codecommit.eu-central-1.amazonaws.com/v1/repos/a",
            "https://user@[fd00::1]/a",
        ],
        [
            "ext::sh -c evil",
            "file:///etc",
            "/srv/git/a",
            "ssh://-oProxyCommand=evil/a",
            "ssh://git@-oProxyCommand=evil/a",
            "git@-oProxyCommand=evil:a",
            "-u@host:a",
            "https://-a/b",
            "git://a/b",
        ],
    ),
    "GIT_REMOTE": (
        ["origin", "my_remote", "Fork.2", "team/up", "-origin", "a.", "me@home", 'a"b', "a]b", "ü", "+x", "(a)", "a&b"],
        ["a b", "a..b", ".a", "a/.b", "/a", "a/", "a//b", "a~1", "a^b", "a:b", "a?b", "a*b", "a[b", "a\\b", "a@{b"],
    ),
    "REVISION": (
        ["main", "v1.2.3+build.4", "feature/#123", "release/1.x", "refs/heads/main", "a" * 40, "wip@home", "ünïcode"],
        ["-d", "--force", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "/a"],
    ),
    "CHART_VERSION": (
        ["1.19.3", "v1.20.0", "1.0.0-rc.1", "1.0.0-alpha-2", "10.1.1+up0.5.0", "1.2.3-0.2+a-b.c"],
        ["1.19", "1", "latest", "^1.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3+a+b"],
    ),
    "VERSION": (
        ["v1.13.9", "v1.14.0-alpha.0", "v1.36.0-rc.1", "v1.14.0-alpha.1-23-gabcdef1"],
        ["1.13.9", "v1.13", "v1.13.9+x", "latest"],
    ),
    "TLS_HOST": (["*", "shop", "a-1", "1"], ["a.b", "*.a", "-a", "A", "a" * 64]),
    "LABEL_KEY": (
        ["a", "A.b_c-d", "example.org/kind", "node-role.kubernetes.io/gpu", "x/" + "a" * 63],
        ["-a", "a-", "a..b/x", "A.org/x", "a/b/c", "/a", "a/", "a" * 64, ".a/b"],
    ),
    "LABEL_VALUE": (["", "a", "A_b.c-1", "a" * 63], ["-a", "a-", "a b", "a/b", "a" * 64]),
    "DNS_NAME": (
        ["dev-1.example.org", "a.b", "1.2.example", "a" * 63 + ".b"],
        ["example", "a..b", "-a.b", "a-.b", "A.b", "a_b.c", "a" * 64 + ".b", "a.b."],
    ),
    "CLUSTER_DOMAIN": (["cluster.local", "k8s", "a.b.c"], ["-a", "a.", ".a", "A.b", "a_b"]),
    "TIME_SERVER": (
        [
            "time.cloudflare.com",
            "10.0.0.1",
            "/dev/ptp0",
            "/dev/ptp_kvm",
            "2001:db8::1",
            "::1",
            "time.example.org.",
            "a",
        ],
        ["/dev/", "/etc/passwd", "-a", "a b", "https://time.example.org"],
    ),
    "REGISTRY": (
        [
            "factory.talos.dev",
            "registry.example.net/factory",
            "registry.example.net:5000/mirror/talos_factory/x__y/a-b.c",
            "localhost:5000",
            "10.0.0.1:5000",
            "[fd00::1]:5000/a",
            "Registry.Example.NET",
        ],
        ["https://factory.talos.dev", "a/", "/a", "a//b", "a/B", "a:port", "a/-b", "-a", "a_b.example", "a/b:tag"],
    ),
    "EXTENSION": (
        ["siderolabs/qemu-guest-agent", "siderolabs/v4l-uvc-drivers", "my-org/tools/ext_name.2"],
        ["qemu-guest-agent", "siderolabs/", "Siderolabs/x", "a/-b", "a/b:1"],
    ),
    "SHA256": (["0" * 64, "af" * 32], ["0" * 63, "0" * 65, "AF" * 32, "sha256:" + "0" * 64]),
    "DEVICE": (
        [
            "/dev/sda",
            "/dev/nvme0n1",
            "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi0",
            "/dev/disk/by-path/pci-0000:00:05.0-scsi-0:0:0:0",
            "/dev/mapper/vg+x@y=z#1",
        ],
        ["sda", "/dev/", "/dev//a", "/etc/passwd", "/dev/s da", "dev/sda"],
    ),
    "TIME": (["00:00", "09:30", "23:59"], ["24:00", "9:30", "09:60", "0930"]),
    "AGE_RECIPIENT": (
        [
            X25519,
            "age1yubikey1qgmvc3nazaanqqqqqqqqq",
            f"ssh-ed25519 {SSH_KEY}",
            f"ssh-ed25519 {SSH_KEY} me@home",
            "ssh-rsa AAAAB3Nza==",
        ],
        [
            "age1" + "q" * 57,
            "age1" + "b" * 58,
            "AGE1" + "q" * 58,
            "AGE-SECRET-KEY-1" + "Q" * 58,
            "ssh-dss AAAA",
            "pgp:x",
        ],
    ),
    "DRIFT_LAYER": (["machines", "*"], ["disks", "machines,talos"]),
    "SECRET_MANAGEMENT": (["sops-age", "none"], ["vault", "sops"]),
}


def accepts(name: str, text: str) -> bool:
    # The last `$` of Python would take a line end before the end; pydantic's does not.
    return re.fullmatch(PATTERNS[name].regex[1:-1], text) is not None


def test_every_pattern_has_its_source_and_a_table():
    assert set(TABLES) == set(PATTERNS)
    assert [name for name, one in PATTERNS.items() if len(one.source) < 8 or not one.meaning] == []


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (good, _) in TABLES.items() for text in good])
def test_what_the_source_takes_is_taken(name: str, text: str):
    assert accepts(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, bad) in TABLES.items() for text in bad])
def test_what_the_source_refuses_is_refused(name: str, text: str):
    assert not accepts(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in TABLES for text in TRAPS])
def test_traps_are_refused_everywhere(name: str, text: str):
    assert not accepts(name, text) or (name, text) == ("LABEL_VALUE", "")


@pytest.mark.parametrize("text", [*TABLES["GIT_REMOTE"][0], *TABLES["GIT_REMOTE"][1]])
def test_git_itself_agrees_about_remotes(text: str):
    done = run(["git", "check-ref-format", f"refs/remotes/{text}/test"], deadline_s=60)
    assert (done.returncode == 0) == accepts("GIT_REMOTE", text)


@pytest.mark.parametrize(
    "text",
    ["-selinux", "-init_on_alloc", "init_on_alloc=0", "quiet", "talos.config=https://m.example/?u=${uuid}", 'a="b c"'],
)
def test_kernel_arguments_of_the_factory(text: str):
    assert TypeAdapter(KernelArgument).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "a\x00"])
def test_what_is_not_one_kernel_argument(text: str):
    with pytest.raises(ValidationError, match="is not one kernel argument"):
        TypeAdapter(KernelArgument).validate_python(text)


def test_a_mac_means_the_same_in_capitals():
    assert TypeAdapter(MacAddress).validate_python("BC:24:11:AA:00:01") == "bc:24:11:aa:00:01"


def test_a_label_key_ends_somewhere():
    with pytest.raises(ValidationError):
        TypeAdapter(LabelKey).validate_python(".".join(["a" * 63] * 6) + "/b")


def test_a_dash_is_text():
    assert TypeAdapter(Text).validate_python("- the old one") == "- the old one"


def test_patterns_of_the_models_hold_in_pydantic_too():
    """Its engine is another one than Python's: each table once more, through it."""
    for name, (good, bad) in TABLES.items():
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(pattern=getattr(patterns, name).regex)])
        for text in good:
            adapter.validate_python(text)
        for text in (*bad, "a\n"):
            with pytest.raises(ValidationError):
                adapter.validate_python(text)
