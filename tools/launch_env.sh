# Sourced by the launchers: which Python, how processes find each other, one thread a process.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -z "${VIRTUAL_ENV:-}" ] && [ -x "$TOOLS/../.venv/bin/python" ]; then
        PYTHON=$TOOLS/../.venv/bin/python # what make installs
    fi
fi
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ "${NNODES:-1}" = 1 ]; then
    RENDEZVOUS=(--standalone) # picks a free port
else
    RENDEZVOUS=(--nnodes="$NNODES" --node_rank="${NODE_RANK:?}" --master_addr="${MASTER_ADDR:?}"
        --master_port="${PORT:-29500}")
fi
