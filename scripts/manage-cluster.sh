#!/usr/bin/env bash
# Look after a cluster: scripts/manage-cluster.sh health|kubeconfig|talosconfig ENV/CLUSTER
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(command -v uv || echo .uv/bin/uv)" run --frozen infraflux cluster "$@"
