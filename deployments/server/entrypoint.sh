#!/usr/bin/env bash
# Keeps a container alive while the service runs, and ends runs and service in order before the container ends.
set -euo pipefail
stop() {
  infraflux service down
  kill "$logs" 2>/dev/null || true
  exit 0
}
infraflux tools install
infraflux service up
logs=none
trap stop TERM INT
infraflux service logs --follow &
logs=$!
wait "$logs"
