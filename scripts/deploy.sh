#!/usr/bin/env bash
# Deploy a cluster: scripts/deploy.sh ENV/CLUSTER [--dry-run] [--yes]
set -euo pipefail
cd "$(dirname "$0")/.."
exec uv run --frozen infraflux deploy "$@"
