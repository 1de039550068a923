"""The configuration of one run, opened once and handed to everybody: what it says, from which commit, and its edges.

Nothing is read again after that: a run is a function of one tree of files. Edges (Proxmox, Talos, Kubernetes) are
opened when they are first used.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from infraflux.adapters.git_head import Head, read_head
from infraflux.adapters.git_repo import GitRepo
from infraflux.adapters.kubectl import Kubectl
from infraflux.adapters.kubernetes.client import Kubernetes
from infraflux.adapters.secrets.bundle import Learn, ignore
from infraflux.adapters.tools.locate import locate
from infraflux.config.load import Examined, Fleet, examine, unknown_cluster
from infraflux.config.models import ClusterSpec
from infraflux.config.problems import ConfigProblems
from infraflux.config.scaffold import UNDECIDED_GIT
from infraflux.core.errors import ErrorClass, Permanent
from infraflux.core.paths import ProjectPaths
from infraflux.operations.bootstrap import TalosCluster
from infraflux.operations.frozen import freeze
from infraflux.operations.health import read_nodes
from infraflux.operations.leaving import NodeExit
from infraflux.operations.machines import Machines, open_machines
from infraflux.operations.platform import Platform, open_platform
from infraflux.operations.releases import RELEASED_CONTENT
from infraflux.operations.restart import NodeRestart
from infraflux.operations.rollout import Rollout
from infraflux.operations.talos import open_talos

Log = Callable[[str], None]


def silent(_line: str) -> None:
    """Logs nowhere."""


class OpenCluster:
    """One cluster for the length of one run.

    No dataclass: orchestrators look into those, field by field, wherever one is handed on.
    """

    def __init__(
        self,
        *,
        spec: ClusterSpec,
        fleet: Fleet,
        head: Head,
        root: Path,
        tree: Path,
        content_commit: str = "",
        log: Log = silent,
        learn: Learn = ignore,
    ) -> None:
        self.spec = spec
        self.fleet = fleet
        self.head = head
        self.root = root
        """The project: state, credentials and secrets are below it."""
        self.tree = tree
        """The frozen files: configuration, patch files, platform and Terraform."""
        self.content_commit = content_commit
        """The commit that holds all of a release's content as the tree has it; empty where none does."""
        self.log = log
        self.learn = learn
        self._platform: Platform | None = None

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def paths(self) -> ProjectPaths:
        return ProjectPaths(self.root)

    @property
    def state(self) -> Path:
        """The cluster's own directory: credentials, and what is remembered of it."""
        return self.paths.cluster_state(self.spec.environment, self.spec.name)

    @cached_property
    def machines(self) -> Machines:
        """Terraform and Proxmox of this cluster."""
        return open_machines(self.spec, root=self.root, fleet=self.fleet, tree=self.tree)

    @cached_property
    def talos(self) -> TalosCluster:
        """Talos of this cluster, with the machine configs that its files make."""
        return open_talos(
            self.spec,
            root=self.root,
            tree=self.tree,
            log=self.log,
            learn=self.learn,
            # Whoever plans has asked Talos about these patches already, with secrets that were made up for it.
            validate=False,
        )

    @property
    def reachable(self) -> bool:
        """Whether there is a kubeconfig, so that the Kubernetes API can be asked at all."""
        return self.paths.kubeconfig(self.spec.environment, self.spec.name).exists()

    def platform(self) -> Platform:
        """The Kubernetes side, with what the last apply computed. Permanent where there is no kubeconfig yet."""
        if self._platform is None:
            self._platform = open_platform(
                self.spec, root=self.root, tree=self.tree, outputs=self.machines.outputs(), log=self.log
            )
        return self._platform

    def connect(self) -> Kubernetes:
        """The Kubernetes API, for whoever closes it."""
        return Kubernetes.from_kubeconfig(self.talos.workspace.kubeconfig, cluster=self.key)

    def node_exit(self) -> NodeExit:
        """How nodes of this cluster are drained and leave it."""
        kubeconfig = self.talos.workspace.kubeconfig
        return NodeExit(
            cluster=self.talos,
            kubectl=Kubectl(binary=locate("kubectl"), kubeconfig=kubeconfig, cluster=self.key),
            rules=self.spec.policy.rollout,
            connect=self.connect,
        )

    def rollout(self) -> Rollout:
        """How changes reach nodes of this cluster that run."""
        kubeconfig = self.talos.workspace.kubeconfig
        return Rollout(cluster=self.talos, leave=self.node_exit(), read_nodes=lambda: read_nodes(kubeconfig))

    def node_restart(self) -> NodeRestart:
        """How machines of this cluster start anew."""
        kubeconfig = self.talos.workspace.kubeconfig
        return NodeRestart(
            cluster=self.talos,
            open_power=self.machines.power,
            rules=self.spec.policy.rollout,
            read_nodes=lambda: read_nodes(kubeconfig),
        )

    def forget_platform(self) -> None:
        """After an apply or a new kubeconfig: what was opened before is out of date."""
        if self._platform is not None:
            self._platform.kubernetes.close()
            self._platform = None


def require_commit(spec: ClusterSpec, head: Head) -> None:
    """Refuse a working tree that no commit describes, where the environment's policy says so (pure)."""
    if not spec.policy.require_clean_git or (head.commit and not head.dirty):
        return
    raise Permanent(
        f"the working tree is at {head}, and {spec.environment} accepts committed changes only",
        cluster=spec.key,
        stage="load",
        error_class=ErrorClass.USER,
        next_step="commit or stash the changes, then start again",
    )


def require_git(spec: ClusterSpec) -> None:
    """Refuse where nobody has said yet what Argo CD is to read: known before any machine is made (pure)."""
    if spec.gitops.platform.url != UNDECIDED_GIT:
        return
    raise Permanent(
        "gitops.platform.url is still to be decided: the cluster would find no platform to read",
        cluster=spec.key,
        stage="load",
        error_class=ErrorClass.CONFIG,
        next_step=f"push this repository, and say where in config/environments/{spec.environment}.yaml",
    )


class OpenProject:
    """All clusters of one frozen tree; each can be opened from it."""

    def __init__(
        self, *, examined: Examined, head: Head, root: Path, tree: Path, log: Log = silent, learn: Learn = ignore
    ) -> None:
        self.examined = examined
        self.head = head
        self.root = root
        self.tree = tree
        self.content_commit = _content_commit(root, head)
        self.log = log
        self.learn = learn

    @property
    def fleet(self) -> Fleet:
        """The usable clusters."""
        return self.examined.fleet

    def cluster(self, key: str) -> OpenCluster:
        """One cluster of the tree. Raises ConfigProblems with every mistake that concerns it, Permanent if unknown."""
        if key not in self.examined.keys:
            raise unknown_cluster(key, self.examined.keys)
        if self.examined.by_cluster[key]:
            raise ConfigProblems(self.examined.by_cluster[key], cluster=key)
        return OpenCluster(
            spec=self.fleet.clusters[key],
            fleet=self.fleet,
            head=self.head,
            root=self.root,
            tree=self.tree,
            content_commit=self.content_commit,
            log=self.log,
            learn=self.learn,
        )


def open_project(
    root: Path, *, instead: Mapping[Path, str] | None = None, log: Log = silent, learn: Learn = ignore
) -> OpenProject:
    """Freeze the files and look at all of them, once. `instead`: texts by path read in place of what those files hold.

    Raises nothing for a mistake in a file: it is raised when a cluster that it concerns is opened.
    """
    head = read_head(root)
    tree = freeze(root, head)
    examined = examine(tree, instead=instead)
    return OpenProject(examined=examined, head=head, root=root, tree=tree, log=log, learn=learn)


def open_cluster(root: Path, key: str, *, log: Log = silent, learn: Learn = ignore) -> OpenCluster:
    """Open one cluster for a run. Raises as `OpenProject.cluster`, and for a working tree that its policy refuses."""
    opened = open_project(root, log=log, learn=learn).cluster(key)
    require_commit(opened.spec, opened.head)
    require_git(opened.spec)
    return opened


def _content_commit(root: Path, head: Head) -> str:
    changed = head.dirty and GitRepo(root).changed(RELEASED_CONTENT)
    return "" if changed else head.commit
