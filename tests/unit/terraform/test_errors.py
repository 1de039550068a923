"""Messages of Terraform, the provider and Proxmox, and what they mean for whoever gets them."""

import pytest

from infraflux.adapters.terraform.errors import killed, to_error
from infraflux.adapters.terraform.events import Diagnostic
from infraflux.core.errors import ErrorClass

CASES = [
    ("Saved plan is stale", ErrorClass.CONFLICT, False),
    ("error creating VM: received an HTTP 401 response - Reason: authentication failure", ErrorClass.USER, False),
    ("received an HTTP 403 response - Reason: Permission check failed (/vms/100, VM.Allocate)", ErrorClass.USER, False),
    ("tls: failed to verify certificate: x509: certificate signed by unknown authority", ErrorClass.CONFIG, False),
    ("received an HTTP 500 response - Reason: can't lock file '/var/lock/lock-100.conf'", ErrorClass.TRANSIENT, True),
    ("task UPID:pve1:0001 failed: can't lock file - got timeout", ErrorClass.TRANSIENT, True),
    ("lvcreate error: Cannot create new thin volume, free space in thin pool reached", ErrorClass.CAPACITY, False),
    ("unable to create image: No space left on device", ErrorClass.CAPACITY, False),
    ("received an HTTP 500 response - Reason: unable to create VM 100: config file already exists", "conflict", False),
    ("received an HTTP 596 response - Reason: Connection timed out", ErrorClass.TRANSIENT, True),
    ("Post https://pve: read tcp 127.0.0.1: connection reset by peer", ErrorClass.TRANSIENT, True),
    ("dial tcp 127.78.1.2:8006: connect: connection refused", ErrorClass.TRANSIENT, True),
    ("unexpected EOF", ErrorClass.TRANSIENT, True),
    ("can't remove VM 100 - protection mode enabled", ErrorClass.USER, False),
    ("checksum mismatch: got 'aa' != expect 'bb'", ErrorClass.CONFIG, False),
    ("cannot resize disks ... automatic power-offs/reboots are disabled by", ErrorClass.CONFLICT, False),
    ("something nobody has seen before", ErrorClass.INTERNAL, False),
]


@pytest.mark.parametrize(("text", "error_class", "retryable"), CASES, ids=[case[0][:40] for case in CASES])
def test_class_and_retry(text: str, error_class: ErrorClass, retryable: bool) -> None:
    diagnostics = [
        Diagnostic(severity="error", summary=text, address="module.x"),
        Diagnostic(severity="warning", summary="401"),
    ]
    error = to_error(diagnostics, tail="", cluster="dev/dev-1", doing="terraform apply")
    assert (error.error_class, error.retryable) == (error_class, retryable)
    assert "dev/dev-1 machines" in str(error)
    assert text in str(error)


def test_without_diagnostics_the_tail_tells() -> None:
    error = to_error([], tail="panic: runtime error", cluster="dev/dev-1", doing="terraform plan")
    assert "panic: runtime error" in str(error)
    assert error.error_class is ErrorClass.INTERNAL


def test_killed_says_what_to_do_and_dumps_nothing() -> None:
    error = killed(9, cluster="dev/dev-1", doing="terraform apply")
    assert (error.error_class, error.retryable) == (ErrorClass.TRANSIENT, False)
    assert "terraform apply was killed by signal 9" in str(error)
    assert "Next: run it again" in str(error)
