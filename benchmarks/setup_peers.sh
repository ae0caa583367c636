#!/bin/sh
# A virtual environment with undrift (this checkout) and the peers that it is measured against.
#   benchmarks/setup_peers.sh [VENV]        VENV defaults to .venv-peers beside the checkout's README
# torch comes from wherever pip is configured to look; on a machine without a GPU point pip at a CPU
# build of torch==2.13.0 first (README, "without a GPU"), or CUDA libraries are fetched as well.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:-$root/.venv-peers}
python=${PYTHON:-python3}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install -q -c "$root/constraints.txt" -e "$root"
"$venv/bin/pip" install -q -c "$root/constraints.txt" -r "$root/benchmarks/peers/requirements.txt"
"$venv/bin/pip" install -q --no-deps -r "$root/benchmarks/peers/requirements-no-deps.txt"
"$venv/bin/python" - <<'PYTHON'
from importlib.metadata import version
import azula, azula.nn.unet, azula.sample, diffusers, undrift  # noqa: E401,F401
print("ready:", ", ".join(f"{n} {version(n)}" for n in ("undrift", "torch", "azula", "diffusers")))
PYTHON
