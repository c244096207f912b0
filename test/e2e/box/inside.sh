#!/bin/bash
# inside.sh COMMAND...: the first process of the box's namespaces. Starts the cluster, runs the command against it, and takes
# everything along when it ends: whatever is left then is killed, and its mounts and addresses are gone.
# run.ts calls it and sets BOX_*; descriptor 3 closes when run.ts is gone.
set -euo pipefail
ip link set lo up
ip address add "$BOX_ADDRESS/32" dev lo
ip route add default dev lo
# What container runtimes leave in places of their own stays in here.
for folder in /run /var/lib /var/log; do
  mkdir -p "$BOX_DIR/above$folder" "$BOX_DIR/work$folder"
  mount -t overlay -o "lowerdir=$folder,upperdir=$BOX_DIR/above$folder,workdir=$BOX_DIR/work$folder" overlay "$folder"
done

mkdir "$BOX_DIR/plane"
coproc PLANE {
  exec 3<&-
  exec "$BOX_CONTROL_PLANE" up -dir "$BOX_DIR/plane" -bind "$BOX_ADDRESS" -node -cni "$BOX_PARTS/usr/lib/cni" \
    -images "$BOX_IMAGES" -cgroup-root "$BOX_CGROUP" 2>"$BOX_DIR/plane.log"
}
plane=$PLANE_PID
if ! read -r ready <&"${PLANE[0]}"; then
  cat "$BOX_DIR/plane.log" >&2
  tail -n 5 "$BOX_DIR"/plane/*.log >&2
  exit 1
fi
echo "box: $ready" >&2

export KUBECONFIG="$BOX_DIR/plane/admin.kubeconfig"
"$@" <&0 3<&- &
command=$!
cat <&3 >/dev/null &
lifeline=$!
code=0
wait -n "$command" "$lifeline" "$plane" || code=$?
if ! kill -0 "$plane" 2>/dev/null; then
  echo 'box: the control plane has ended' >&2
  cat "$BOX_DIR/plane.log" >&2
  exit 1
fi
exit "$code"
