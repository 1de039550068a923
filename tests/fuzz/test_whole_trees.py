"""Whole trees: never a traceback, never over 2 s or 300 MB, never valid where a real program refuses what follows.

`make test-slow` runs the long ones: FUZZ_SECONDS each (default 300), with FUZZ_SEED to repeat a run.
"""

import itertools
import os
import random
import sys
import time
from pathlib import Path

import pytest
from fuzz.examiner import Examiner, examiner
from fuzz.trees import FLEET, Tree, broken, said
from hypothesis import HealthCheck, Phase, event, given, seed, settings

from infraflux.adapters.helm import values_text
from infraflux.adapters.secrets.bundle import SecretsBundle
from infraflux.adapters.talos.configs import generate_configs, generate_secrets
from infraflux.adapters.talos.talosctl import Talosctl
from infraflux.adapters.terraform.computed import compute_outputs
from infraflux.adapters.terraform.stack import Tool
from infraflux.adapters.tools.locate import locate, provider_mirror, this_machine
from infraflux.config.load import Examined, examine
from infraflux.config.models import ClusterSpec
from infraflux.core.process import run
from infraflux.operations.machine_configs import check_examined
from infraflux.render.talos import render_patches
from infraflux.render.terraform import render_cluster, to_tfvars

SECONDS = float(os.environ.get("FUZZ_SECONDS", "300"))
SEED = int(os.environ.get("FUZZ_SEED", str(random.randrange(2**32))))
MOST_SECONDS, MOST_MIB = 2.0, 300.0
ROOT = Path(__file__).parents[2]

SHORT = settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
ROUND = settings(SHORT, max_examples=40, phases=[Phase.generate])


@pytest.fixture(scope="module")
def ask() -> Examiner:
    with examiner() as child:
        yield child


class Budget:
    """Time for one long test; what is generated after its end costs nothing."""

    def __init__(self, name: str) -> None:
        self.name, self.count, self.valid = name, 0, 0
        self.end = time.monotonic() + SECONDS

    @property
    def spent(self) -> bool:
        return time.monotonic() > self.end

    def __str__(self) -> str:
        return f"{self.name}: {self.count} trees, {self.valid} of them valid, FUZZ_SEED={SEED}"


def holds(ask: Examiner, tree: Tree) -> bool:
    """Whether it is valid; fails where the answer took too much."""
    answer = ask(tree)
    assert answer.seconds < MOST_SECONDS, f"{answer.seconds:.1f} s"
    assert answer.peak_mib < MOST_MIB, f"{answer.peak_mib:.0f} MiB"
    assert [problem for problem in answer.problems if not problem.isprintable()] == []
    event("valid" if not answer.problems else "refused")
    return not answer.problems


@given(tree=broken())
@SHORT
def test_a_broken_tree_is_refused_in_words(ask, tree):
    holds(ask, tree)


@given(tree=said())
@SHORT
def test_a_tree_that_says_much_is_judged_in_words(ask, tree):
    holds(ask, tree)


def until_spent(budget: Budget, trees, check) -> None:
    """Checks tree after tree until the time is over, in rounds of a seed each, and says how many they were."""

    def round_of(number: int):
        @seed(SEED + number)
        @given(tree=trees())
        @ROUND
        def one(tree):
            if not budget.spent:
                budget.count += 1
                budget.valid += check(tree)

        return one

    try:
        for number in itertools.count():
            if budget.spent:
                break
            round_of(number)()
    finally:
        sys.stderr.write(f"\n{budget}\n")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("trees", [broken, said], ids=["broken", "said"])
def test_trees_at_length(ask, trees):
    until_spent(Budget(trees.__name__), trees, lambda tree: holds(ask, tree))


class Programs:
    """The real ones, asked about what a valid tree renders to."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.talosctl = Talosctl(binary=locate("talosctl"), cluster="dev/dev-1")
        self.tool = Tool(binary=locate("terraform"), mirror=provider_mirror())
        self.bundle = SecretsBundle(generate_secrets(self.talosctl, talos_version="v1.13.9", workdir=work))
        (work / "echo" / "templates").mkdir(parents=True)
        (work / "echo" / "Chart.yaml").write_text("apiVersion: v2\nname: echo\nversion: 0.1.0\n")
        (work / "echo" / "templates" / "a.yaml").write_text("all: {{ .Values | toJson | quote }}\n")

    def take(self, spec: ClusterSpec, root: Path) -> None:
        """Raises where one of them refuses."""
        patches = render_patches(spec, root=root)
        generate_configs(spec, talosctl=self.talosctl, bundle=self.bundle, patches=patches, workdir=self.work / "t")
        variables = to_tfvars(render_cluster(spec))
        compute_outputs(variables, source=ROOT / "terraform", tool=self.tool, label=spec.key)
        for component in spec.platform.components:
            values = self.work / "values.json"
            values.write_text(values_text(component.values))
            run([locate("helm"), "template", "a", self.work / "echo", "--values", values], deadline_s=120).require()


def valid(tree: Tree) -> Examined | None:
    """The tree as `config validate` takes it; None where it has a problem."""
    examined = examine(FLEET, instead={Path(name): text for name, text in tree.items()})
    asked = check_examined(examined, examined.keys, root=FLEET) if not examined.problems else None
    return examined if asked is not None and not asked.problems else None


@pytest.mark.slow
@pytest.mark.tools
@pytest.mark.timeout(SECONDS + 600)
def test_what_is_valid_is_taken_by_talos_helm_and_terraform(ask, tmp_path_factory, monkeypatch):
    this_machine()  # finds its programs in the user's cache, before that is another one
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    budget, programs = Budget("differential"), Programs(tmp_path_factory.mktemp("programs"))

    def check(tree: Tree) -> bool:
        examined = valid(tree) if holds(ask, tree) else None
        for spec in examined.fleet.clusters.values() if examined else ():
            programs.take(spec, FLEET)
        return examined is not None

    until_spent(budget, said, check)
    assert budget.valid


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
def test_coverage_guided_bytes_end_in_words():
    pytest.importorskip("atheris", reason="`uv sync --group fuzz` brings atheris")
    budget = [f"-max_total_time={int(SECONDS)}", f"-seed={SEED or 1}", "-print_final_stats=1"]
    done = run([sys.executable, Path(__file__).with_name("coverage_guided.py"), *budget], deadline_s=SECONDS + 300)
    sys.stderr.write("\n".join(done.tail.splitlines()[-8:]) + f"\nFUZZ_SEED={SEED}\n")
    assert done.returncode == 0, done.tail
