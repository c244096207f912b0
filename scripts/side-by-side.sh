#!/usr/bin/env bash
# side-by-side.sh COMMAND COMMAND: runs two commands at a time. What the second one prints follows when both have ended.
# Fails if one of them does, and says last what that one ended with: a log is read from its end.
set -u -o pipefail
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
$2 >"$said/second" 2>&1 &
second=$!
$1 2>&1 | tee "$said/first"
first=$?
wait $second
code=$?
cat "$said/second"
failed() {
  printf '\nFAILED: %s\n' "$1"
  tail -n 80 "$2"
}
if ((first)); then failed "$1" "$said/first"; fi
if ((code)); then failed "$2" "$said/second"; fi
exit $((first > code ? first : code))
