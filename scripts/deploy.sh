#!/usr/bin/env bash
# Deploy a cluster: scripts/deploy.sh ENV/CLUSTER [--dry-run] [--yes]
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(command -v uv || echo .uv/bin/uv)" run --frozen infraflux deploy "$@"
