#!/bin/bash
# kind.sh COMMAND...: runs a command with KUBECONFIG set to a fresh kind cluster that has the project's image; it goes
# afterwards.
set -euo pipefail
cd "$(dirname "$0")/../../.."
kind=(go run sigs.k8s.io/kind@v0.33.0)
name=hermes-router-e2e

refuse() {
  echo "e2e-kind: $1; make e2e-apiserver and make e2e-cluster need no Docker" >&2
  exit 3
}
command -v docker >/dev/null || refuse 'there is no docker command, and kind runs its nodes in containers'
docker info >/dev/null 2>&1 || refuse 'no Docker engine answers'
command -v go >/dev/null || refuse 'there is no go command, which builds kind'

mkdir -p .cache
export KUBECONFIG="$PWD/.cache/kind.kubeconfig"
trap '"${kind[@]}" delete cluster --name "$name"' EXIT
"${kind[@]}" create cluster --name "$name" --wait 120s
version=$(node -p 'require("./package.json").version')
node --disable-warning=ExperimentalWarning scripts/image/oci.ts .cache/image.tar "docker.io/library/hermes-router:$version"
"${kind[@]}" load image-archive .cache/image.tar --name "$name"
"$@"
