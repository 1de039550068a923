"""Errors as the Talos API reports them: a gRPC status code and a message."""

import grpc

from infraflux_lab.contracts import EtcdError


class TalosError(Exception):
    """Ends a call with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def number(self) -> int:
        """Code as it travels on the wire (google.rpc.Code)."""
        number, _ = self.code.value
        return int(number)


def invalid_argument(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.FAILED_PRECONDITION, message)


def already_exists(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.ALREADY_EXISTS, message)


def not_found(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.NOT_FOUND, message)


def unavailable(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.UNAVAILABLE, message)


def unimplemented(message: str) -> TalosError:
    return TalosError(grpc.StatusCode.UNIMPLEMENTED, message)


def refused_unnamed(message: str) -> TalosError:
    """What Talos says by a plain error of Go."""
    return TalosError(grpc.StatusCode.UNKNOWN, message)


def not_authorized() -> TalosError:
    return TalosError(grpc.StatusCode.PERMISSION_DENIED, "not authorized")


def etcd_failed(error: EtcdError, doing: str = "") -> TalosError:
    """etcd's words behind Talos'; Talos hands most of them on without a code of its own."""
    message = f"{doing}: {error}" if doing else str(error)
    codes = {
        "member not found": grpc.StatusCode.NOT_FOUND,
        "no leader": grpc.StatusCode.UNAVAILABLE,
        "context deadline exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    code = next((code for words, code in codes.items() if words in str(error)), grpc.StatusCode.UNKNOWN)
    return TalosError(code, message)
