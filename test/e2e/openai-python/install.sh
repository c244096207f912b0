#!/bin/bash
# install.sh DIR: the official OpenAI client for Python in a virtual environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
stamp=$(cksum <"$here/requirements.txt")
[ "$(cat "$1/installed" 2>/dev/null)" = "$stamp" ] && exit 0

rm -rf "$1"
python3 -m venv "$1"
"$1/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
echo "$stamp" >"$1/installed"
