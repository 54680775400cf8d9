#!/usr/bin/env bash
# Evaluate with N processes on this machine: tools/dist_test.sh CONFIG CHECKPOINT N [arguments of tools/test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each of them.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT N [arguments of tools/test.py]" >&2
    exit 2
fi
source "$(dirname "$0")/launch_env.sh"
CONFIG=$1
CHECKPOINT=$2
PROCESSES=$3
exec "$PYTHON" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
