"""Where things are on this machine: the one place of the tools package that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import infraflux

# What a Go build may see of the caller's environment. GOFLAGS, GOOS, GOTOOLCHAIN and the like stay out on purpose: a
# developer's own settings must not change what is built.
GO_ENVIRONMENT = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    *("GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"),
)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Directories and the caller's environment."""

    pins: Path
    """Directory of pins.yaml and the Go modules."""
    cache: Path
    """`$XDG_CACHE_HOME/infraflux`."""
    path: str
    """PATH, searched for programs that are there already."""
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def of_this_machine(cls, environ: Mapping[str, str] | None = None) -> Places:
        """The places that the environment says."""
        environ = os.environ if environ is None else environ
        home = Path(environ.get("HOME") or Path.home())
        cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "infraflux"
        return cls(pins=pins_directory(), cache=cache, path=environ.get("PATH", os.defpath), environ=environ)

    @property
    def tools(self) -> Path:
        """Everything that was built."""
        return self.cache / "tools"

    @property
    def mirror(self) -> Path:
        """A Terraform filesystem mirror with the built providers."""
        return self.tools / "providers"

    def built(self, *, name: str, version: str, file_name: str) -> Path:
        """Where a built program is, or will be."""
        return self.tools / "programs" / name / version / file_name


def pins_directory() -> Path:
    """`tools/` of the project: of the source tree this package is in, else of the current directory."""
    beside_source = Path(infraflux.__file__).resolve().parents[2] / "tools"
    return beside_source if (beside_source / "pins.yaml").exists() else Path.cwd() / "tools"
