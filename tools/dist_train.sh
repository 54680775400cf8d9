#!/usr/bin/env bash
# Train with N processes on this machine: tools/dist_train.sh CONFIG N [arguments of tools/train.py]
# One process a GPU, over nccl; on a machine without GPUs N processes on its CPUs, over gloo.
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each of them.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG N [arguments of tools/train.py]" >&2
    exit 2
fi
source "$(dirname "$0")/launch_env.sh"
CONFIG=$1
PROCESSES=$2
exec "$PYTHON" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
