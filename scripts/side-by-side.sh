#!/usr/bin/env bash
# side-by-side.sh COMMAND COMMAND: runs two commands at a time. What the second one prints follows when both have ended.
# Fails if one of them does.
set -u
said=$(mktemp)
trap 'rm -f "$said"' EXIT
$2 >"$said" 2>&1 &
second=$!
$1
first=$?
wait $second
code=$?
cat "$said"
exit $((first > code ? first : code))
