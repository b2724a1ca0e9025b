#!/usr/bin/env bash
# Two "machines" on one: two torchrun agents that meet on loopback and train one net, neither seeing the other's files.
#   scripts/two_machines.sh -f notebooks/params/quick.yaml -p learning_rate 0.0005 -p loss bce_dice
# CARVANA_PORT chooses their port, PROCESSES how many each starts. On real machines run the torchrun line on each, with its own number and the address of machine 0.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
port=${CARVANA_PORT:-$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
elsewhere=$(mktemp -d)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

machine() {
  exec "$python" -m torch.distributed.run --nnodes 2 --node-rank "$1" --nproc-per-node "${PROCESSES:-1}" \
    --master-addr 127.0.0.1 --master-port "$port" -m carvana_course train "${@:2}"
}

CARVANA_RUNS=$elsewhere machine 1 "$@" &
second=$!
trap 'kill "$second" 2>/dev/null || true; wait "$second" || true; rm -rf "$elsewhere"' EXIT
(machine 0 "$@")
wait "$second"
