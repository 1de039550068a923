"""One Terraform stack, run: plan to a file, read it, apply exactly that file, keep the state safe around it."""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infraflux.adapters.terraform import lock as locks
from infraflux.adapters.terraform import workspace
from infraflux.adapters.terraform.argv import FLAG, ArgvBuilder
from infraflux.adapters.terraform.cli_config import settings
from infraflux.adapters.terraform.errors import STAGE, PlanStale, killed, to_error
from infraflux.adapters.terraform.events import Diagnostic, Event, EventKind, OnEvent, parse_event
from infraflux.adapters.terraform.plan import EMPTY_PLAN, PlanSummary, read_plan
from infraflux.adapters.terraform.state import StateArchive, StateHead, StateRefused, head_of, judge_state, parse_state
from infraflux.adapters.terraform.workspace import Copy, Place, Tool
from infraflux.core import process
from infraflux.core.files import make_private_dir, write_private
from infraflux.core.spans import Kind, note

QUICK_S = 120.0
"""Deadline of commands that only read local files or one state."""
DEFAULT_PLAN_S = 900.0
DEFAULT_APPLY_S = 3600.0
DEFAULT_LOCK_WAIT_S = 60
NO_CHANGES, ERROR, CHANGES = 0, 1, 2
"""Terraform's codes with -detailed-exitcode."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A saved plan, bound to its bytes."""

    run_id: str
    summary: PlanSummary
    sha256: str
    """Of the plan file: what is applied is what was read."""
    warnings: tuple[str, ...] = ()
    elapsed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What an apply left."""

    run_id: str
    changed: int
    outputs: Mapping[str, Any] = field(repr=False)
    elapsed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Ended:
    completed: process.Completed
    diagnostics: tuple[Diagnostic, ...]
    outputs: Mapping[str, Any]


class Stack:
    """One stack of one environment.

    `env` reaches Terraform beside the allowed names (the API token, backend credentials); the values named in
    `secret_values` are masked in everything that comes back.
    """

    def __init__(
        self,
        *,
        place: Place,
        tool: Tool,
        label: str,
        env: Mapping[str, str] | None = None,
        secret_values: Collection[str] = (),
        lock_wait_s: int = DEFAULT_LOCK_WAIT_S,
    ) -> None:
        self.place = place
        self.label = label
        self.archive = StateArchive(place.state)
        self._tool = tool
        self._env = dict(env or {})
        self._secrets = tuple(secret_values)
        self._lock_wait_s = lock_wait_s
        self._holders = locks.HolderRecords(place.state / "holders")

    def beside(self, place: Place) -> "Stack":
        """Another stack of the same environment, with the same program and credentials."""
        return Stack(
            place=place,
            tool=self._tool,
            label=f"{place.environment}/{place.name}",
            env=self._env,
            secret_values=self._secrets,
            lock_wait_s=self._lock_wait_s,
        )

    # Plan and apply

    def plan(
        self,
        variables: str,
        *,
        destroy: bool = False,
        on_event: OnEvent | None = None,
        deadline_s: float = DEFAULT_PLAN_S,
        replaced: Sequence[str] = (),
    ) -> Plan:
        """Plan with these variables (a `.tfvars.json` document) and save the plan.

        `replaced`: addresses of objects that are made anew, whether or not they differ.

        Raises StateRefused, StateLocked and what `to_error` makes of Terraform's own messages.
        """
        for directory in (self.place.state, self.place.runs):
            make_private_dir(directory)
        self.require_sound_state()
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        run = make_private_dir(self.place.run(run_id))
        write_private(run / "terraform.tfvars.json", variables)
        ended = self._locking(
            "plan",
            on_event=on_event,
            deadline_s=deadline_s,
            returncodes=(NO_CHANGES, CHANGES),
            detailed_exitcode=FLAG,
            var_file=str(run / "terraform.tfvars.json"),
            out=str(run / "plan.tfplan"),
            destroy=FLAG if destroy else None,
            replace=list(replaced) or None,
        )
        summary = EMPTY_PLAN if ended.completed.returncode == NO_CHANGES else self._read(run)
        warnings = [one.text for one in ended.diagnostics if one.severity == "warning"]
        plan = Plan(
            run_id=run_id,
            summary=summary,
            sha256=_sha256(run / "plan.tfplan"),
            warnings=tuple(dict.fromkeys(warnings)),
            elapsed_s=ended.completed.elapsed_s,
        )
        write_private(run / "run.json", json.dumps({"sha256": plan.sha256, "digest": summary.digest}))
        workspace.prune_runs(self.place, newest=run)
        return plan

    def reopen(self, run_id: str) -> Plan:
        """A plan of an earlier process (an approval took its time), read again from its file.

        Raises PlanStale where it is gone or no longer the file that was saved.
        """
        run = self.place.run(run_id)
        try:
            saved = json.loads((run / "run.json").read_text())
        except (OSError, ValueError) as error:
            raise self._stale(f"plan {run_id} is gone") from error
        summary = EMPTY_PLAN if saved["digest"] == EMPTY_PLAN.digest else self._read(run)
        if summary.digest != saved["digest"]:
            raise self._stale(f"plan {run_id} does not do what was approved")
        return Plan(run_id=run_id, summary=summary, sha256=saved["sha256"])

    def apply(self, plan: Plan, *, on_event: OnEvent | None = None, deadline_s: float = DEFAULT_APPLY_S) -> Applied:
        """Apply exactly this plan. The state is backed up before and after, also when the apply fails."""
        file = self.place.run(plan.run_id) / "plan.tfplan"
        if not file.exists() or _sha256(file) != plan.sha256:
            raise self._stale(f"plan {plan.run_id} is not the file that was read")
        self.require_sound_state()
        self._keep_state()
        try:
            ended = self._locking("apply", str(file), on_event=on_event, deadline_s=deadline_s)
        finally:
            # A cancelled or failed apply has written what it did: that is the state to go on from.
            self._rescue_errored()
            self._keep_state()
        return Applied(
            run_id=plan.run_id,
            changed=len(plan.summary.changes),
            outputs=ended.outputs,
            elapsed_s=ended.completed.elapsed_s,
        )

    # State

    def state_text(self) -> str | None:
        """The state document as it is now; None where there is none."""
        if self.place.backend()[0] == "local":
            try:
                return self.place.local_state.read_text() or None
            except FileNotFoundError:
                return None
        return self._run("state pull", json_output=False, deadline_s=QUICK_S).completed.stdout or None

    def state(self) -> StateHead | None:
        """What the state knows; None where there is none."""
        return head_of(self.state_text())

    def inputs(self, variables: str) -> str:
        """Digest of what a plan with these variables follows from, beside the state and what there is."""
        configuration = workspace.configuration_digest(self.place, self._tool)
        return hashlib.sha256(f"{configuration}\n{variables}".encode()).hexdigest()

    def require_sound_state(self) -> str | None:
        """Push what an earlier run could not write, then raise StateRefused where the state went back or is lost.

        Returns the state document that was judged; None where there is none.
        """
        self._rescue_errored()
        text = self.state_text()
        try:
            wrong = judge_state(head_of(text), self.archive.record())
        except StateRefused as error:
            wrong = error.message
        if wrong:
            raise StateRefused(
                wrong,
                cluster=self.label,
                stage=STAGE,
                next_step=f"infraflux machines state {self.label} --restore, or --forget and adopt the machines",
            )
        return text

    def restore(self) -> StateHead:
        """Put the newest sound backup in the state's place. Raises StateRefused where there is none."""
        text = self.archive.newest()
        if text is None:
            raise StateRefused(
                "no backup of the state is left", cluster=self.label, stage=STAGE, next_step="forget and adopt"
            )
        if self.place.backend()[0] == "local":
            if self.place.local_state.exists():
                self._set_aside()
            write_private(self.place.local_state, text)
        else:
            self._push(text)
        return parse_state(text)

    def forget_state(self) -> None:
        """Give up a state that is lost for good: what is left of a local one is kept aside, backups stay."""
        if self.place.backend()[0] == "local" and self.place.local_state.exists():
            self._set_aside()
        self.archive.forget()

    def _set_aside(self) -> None:
        write_private(self.place.state / "damaged" / f"{time.time_ns()}.tfstate", self.place.local_state.read_bytes())
        self.place.local_state.unlink()

    # Inside

    def _read(self, run: Path) -> PlanSummary:
        shown = self._run("show", str(run / "plan.tfplan"), deadline_s=QUICK_S).completed
        return read_plan(json.loads(shown.stdout))

    def _locking(
        self,
        command: str,
        *arguments: str,
        on_event: OnEvent | None,
        deadline_s: float,
        returncodes: tuple[int, ...] = (0,),
        **options: Any,
    ) -> _Ended:
        """A command that takes the state lock; a lock whose holder is proven dead is broken once."""
        options["lock_timeout"] = f"{self._lock_wait_s}s"
        if command in ("plan", "apply"):  # the others never ask and do not know the option
            options["input"] = False

        def attempt() -> _Ended:
            with self._holders.me():
                return self._run(
                    command, *arguments, on_event=on_event, deadline_s=deadline_s, returncodes=returncodes, **options
                )

        try:
            ended = attempt()
        except locks.StateLocked as error:
            self._break_if_dead(error)
            ended = attempt()
        self._holders.forget_dead()
        return ended

    def _break_if_dead(self, error: locks.StateLocked) -> None:
        judged = locks.judge_lock(
            error.lock, holders=self._holders.read(), here=locks.Holder.myself(), alive=locks.is_alive
        )
        if isinstance(judged, locks.Keep):
            error.next_step = f"{error.next_step}; the lock stays because {judged.reason}"
            raise error
        self._run("force-unlock", error.lock.id, json_output=False, deadline_s=QUICK_S, force=FLAG)

    def _rescue_errored(self) -> None:
        """Push a state that an apply could not write (`errored.tfstate`); it stays until that has worked."""
        kept = self.place.state / "errored.tfstate"
        for found in self.place.state.glob("work/*/terraform/*/errored.tfstate"):
            write_private(kept, found.read_bytes())
            found.unlink()
        if kept.exists():
            self._push(kept.read_text())
            kept.unlink()

    def _push(self, text: str) -> None:
        file = write_private(self.place.state / "push.tfstate", text)
        try:
            self._locking("state push", str(file), on_event=None, deadline_s=QUICK_S, json_output=False)
        finally:
            file.unlink(missing_ok=True)

    def _keep_state(self) -> None:
        text = self.state_text()
        if text and parse_state(text).lineage:
            self.archive.keep(text)

    def _run(
        self,
        command: str,
        *arguments: str,
        deadline_s: float,
        on_event: OnEvent | None = None,
        returncodes: tuple[int, ...] = (0,),
        json_output: bool = True,
        copy: Copy | None = None,
        **options: Any,
    ) -> _Ended:
        copy = copy or workspace.prepare(self.place, self._tool, init=self._init)
        argv = ArgvBuilder(binary=self._tool.binary, directory=copy.directory)
        if json_output:
            options["json"] = FLAG
        heard = _Heard(on_event) if json_output and command != "show" else None
        completed = process.run(
            argv.argv(command, *arguments, **options),
            deadline_s=deadline_s,
            env={**settings(copy.cli_config), **self._env},
            on_line=heard,
            secrets=self._secrets,
        )
        diagnostics = tuple(heard.diagnostics) if heard else ()
        if completed.returncode < 0:
            raise killed(-completed.returncode, cluster=self.label, doing=f"terraform {command}")
        if completed.returncode not in returncodes:
            raise to_error(diagnostics, tail=completed.tail, cluster=self.label, doing=f"terraform {command}")
        return _Ended(completed=completed, diagnostics=diagnostics, outputs=heard.outputs if heard else {})

    def _init(self, copy: Copy) -> None:
        self._run(
            "init",
            deadline_s=QUICK_S * 5,
            json_output=False,
            copy=copy,
            input=False,
            no_color=FLAG,
            backend_config=str(copy.directory / "backend.conf"),
        )

    def _stale(self, message: str) -> PlanStale:
        return PlanStale(message, cluster=self.label, stage=STAGE, next_step="plan again")


class _Heard:
    """Collects the events of one command."""

    def __init__(self, on_event: OnEvent | None) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.outputs: dict[str, Any] = {}
        self._on_event: Callable[[Event], None] | None = on_event
        self._started: dict[str, float] = {}

    def __call__(self, line: str) -> None:
        event = parse_event(line)
        if event.diagnostic:
            self.diagnostics.append(event.diagnostic)
        if event.outputs is not None:
            self.outputs = dict(event.outputs)
        self._note(event)
        if self._on_event:
            self._on_event(event)

    def _note(self, event: Event) -> None:
        if event.kind is EventKind.STARTED:
            self._started[event.address] = time.monotonic()
        elif event.kind in (EventKind.COMPLETED, EventKind.ERRORED) and event.address in self._started:
            started = self._started.pop(event.address)
            note(Kind.RESOURCE, f"{event.action} {event.address}", start_s=started, end_s=time.monotonic())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
