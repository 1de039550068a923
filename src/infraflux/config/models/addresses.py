"""IPv4 ranges: `10.0.0.10-10.0.0.19`, a CIDR, or one address."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True, order=True)
class AddressRange:
    """Consecutive IPv4 addresses, both ends included."""

    first: IPv4Address
    last: IPv4Address

    @classmethod
    def parse(cls, text: str) -> "AddressRange":
        """Read `A-B`, `A/prefix` (host addresses of a network) or `A`; ValueError says what would be right."""
        try:
            if "-" in text:
                first, last = (IPv4Address(part.strip()) for part in text.split("-", 1))
            elif "/" in text:
                network = IPv4Network(text)
                first, last = network[0], network[-1]
            else:
                first = last = IPv4Address(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is not an address range; 10.0.0.10-10.0.0.19 is one") from error
        if last < first:
            raise ValueError(f"{text!r} ends before it begins; {last}-{first} would be right")
        return cls(first, last)

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def __iter__(self) -> Iterator[IPv4Address]:
        return (IPv4Address(number) for number in range(int(self.first), int(self.last) + 1))

    def __getitem__(self, index: int) -> IPv4Address:
        if not 0 <= index < len(self):
            raise IndexError(f"{self} has {len(self)} addresses")
        return IPv4Address(int(self.first) + index)

    def overlaps(self, other: "AddressRange | IPv4Network") -> bool:
        """True where both share an address."""
        if isinstance(other, IPv4Network):
            other = AddressRange(other[0], other[-1])
        return self.first <= other.last and other.first <= self.last

    def within(self, network: IPv4Network) -> bool:
        return self.first in network and self.last in network

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "examples": ["10.0.0.10-10.0.0.19"]}
