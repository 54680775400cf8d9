#!/usr/bin/env bash
# Evaluate with N processes on this machine: tools/dist_test.sh CONFIG... CHECKPOINT N [arguments of tools/test.py]
# or: tools/dist_test.sh CONFIG... N --segmenter MODEL [arguments of tools/test.py]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each of them.
set -euo pipefail
POSITIONAL=()
while [ $# -gt 0 ] && [[ ! $1 =~ ^[0-9]+$ ]]; do
    POSITIONAL+=("$1")
    shift
done
if [ ${#POSITIONAL[@]} -lt 1 ] || [ $# -lt 1 ]; then
    echo "usage: $0 CONFIG... CHECKPOINT N [arguments of tools/test.py]" >&2
    exit 2
fi
source "$(dirname "$0")/launch_env.sh"
PROCESSES=$1
shift
exec "$PYTHON" -m torch.distributed.run "${RENDEZVOUS[@]}" --nproc_per_node="$PROCESSES" \
    "$TOOLS/test.py" "${POSITIONAL[@]}" --launcher pytorch "$@"
