"""Quantities as Kubernetes writes them, as whole numbers. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re

_BYTES = {
    "": 1,
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("KMGTPE", start=1)},
    **{prefix: 1000**power for power, prefix in enumerate("kMGTPE", start=1)},
}
_QUANTITY = re.compile(r"^([0-9.]+)([A-Za-z]*)$")
_MIB = 1024**2


def cores_of(quantity: str) -> int:
    """`4` -> 4, `3920m` -> 3; 0 for what is no quantity."""
    number = quantity.removesuffix("m")
    if not number.isdigit():
        return 0
    return int(number) // 1000 if number != quantity else int(number)


def mib_of(quantity: str) -> int:
    """`8147240Ki` -> 7956; 0 for what is no quantity."""
    found = _QUANTITY.match(quantity)
    if found is None or found[2] not in _BYTES:
        return 0
    return int(float(found[1]) * _BYTES[found[2]]) // _MIB
