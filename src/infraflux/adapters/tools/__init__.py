"""The outside programs InfraFlux runs: pinned, found on PATH or in the cache, else built from their Go modules."""

from infraflux.adapters.tools.install import Installer, Report
from infraflux.adapters.tools.locate import Found, Shelf, Source, locate, provider_mirror, this_machine
from infraflux.adapters.tools.pins import Pins, Program, load_pins
from infraflux.adapters.tools.places import Places

__all__ = [
    "Found",
    "Installer",
    "Pins",
    "Places",
    "Program",
    "Report",
    "Shelf",
    "Source",
    "load_pins",
    "locate",
    "provider_mirror",
    "this_machine",
]
