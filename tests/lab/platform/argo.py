"""Real Argo CD as processes beside a control plane: repo server, application controller, ApplicationSet controller."""

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

from fakeredis import TcpFakeServer

from infraflux.adapters.tools import locate

# An unsigned commit is not an error: Argo CD reads the text and decides by the project's policy.
WRAPPER = '#!/bin/sh\ngit verify-commit "$@" 2>&1\nexit 0\n'


class Argo:
    """Started once the chart is installed; its Deployments are kwok's, the work is done here."""

    def __init__(self, kubeconfig: Path, workdir: Path, *, address: str) -> None:
        self._kubeconfig, self._dir, self._address = kubeconfig, workdir, address
        self._children: list[subprocess.Popen[bytes]] = []
        self._redis: TcpFakeServer | None = None

    def start(self) -> None:
        for name in ("bin", "tls", "ssh", "gpg/source", "gpg/keys", "plugins", "tmp"):
            (self._dir / name).mkdir(parents=True, exist_ok=True)
        self._link("helm", "kustomize")
        wrapper = self._dir / "bin/git-verify-wrapper.sh"
        wrapper.write_text(WRAPPER)
        wrapper.chmod(0o755)
        redis, repo = self._free_port(), self._free_port()
        self._redis = TcpFakeServer((self._address, redis), server_type="redis")
        threading.Thread(target=self._redis.serve_forever, daemon=True).start()
        here, port = self._address, self._free_port
        server = f"--kubeconfig={self._kubeconfig} --namespace=argocd"
        cache = f"--redis={here}:{redis}"
        self._run(
            "argocd-repo-server",
            f"{cache} --disable-tls --client-ca-path= --address={here} --port={repo}"
            f" --metrics-address={here} --metrics-port={port()}",
        )
        self._run(
            "argocd-application-controller",
            f"{cache} {server} --repo-server={here}:{repo} --repo-server-plaintext --metrics-port={port()}",
        )
        self._run(
            "argocd-applicationset-controller",
            f"{server} --argocd-repo-server={here}:{repo} --repo-server-plaintext --enable-leader-election=false"
            f" --metrics-addr={here}:{port()} --probe-addr={here}:{port()} --webhook-addr={here}:{port()}",
        )

    def stop(self) -> None:
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._redis:
            self._redis.shutdown()
            self._redis.server_close()

    def log(self, name: str) -> str:
        return (self._dir / f"{name}.log").read_text()

    def _run(self, name: str, flags: str) -> None:
        program = self._dir / "bin" / name
        if not program.exists():
            program.symlink_to(locate("argocd"))
        env = {
            "PATH": f"{self._dir / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self._dir),
            "TMPDIR": str(self._dir / "tmp"),
            "GNUPGHOME": str(self._dir / "gpg/keys"),
            "KUBECONFIG": str(self._kubeconfig),
            "ARGOCD_TLS_DATA_PATH": str(self._dir / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(self._dir / "ssh"),
            "ARGOCD_GPG_DATA_PATH": str(self._dir / "gpg/source"),
            "ARGOCD_PLUGINSOCKFILEPATH": str(self._dir / "plugins"),
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_GPG_ENABLED": "false",
            # What the chart's Deployment takes from argocd-cmd-params-cm.
            "ARGOCD_APPLICATIONSET_CONTROLLER_ENABLE_PROGRESSIVE_SYNCS": "true",
            "ARGOCD_APPLICATIONSET_CONTROLLER_ENABLE_NEW_GIT_FILE_GLOBBING": "true",
        }
        with (self._dir / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                [program, *flags.split(" ")], stdout=log, stderr=log, env=env, start_new_session=True
            )
        self._children.append(child)

    def _link(self, *names: str) -> None:
        for name in names:
            target = self._dir / "bin" / name
            if not target.exists():
                target.symlink_to(locate(name))

    def _free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind((self._address, 0))
            return int(probe.getsockname()[1])
