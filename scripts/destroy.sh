#!/usr/bin/env bash
# Destroy a cluster; asks for its name: scripts/destroy.sh ENV/CLUSTER [--dry-run]
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(command -v uv || echo .uv/bin/uv)" run --frozen infraflux destroy "$@"
