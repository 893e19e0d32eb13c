#!/usr/bin/env bash
# Checks the build with no feature, the default ones, each alone, and all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

features=$(sed -n '/^\[features\]/,/^\[[^f]/s/^\([a-z][a-z-]*\) *=.*/\1/p' Cargo.toml | grep -v '^default$')

check() {
  printf '%-40s' "$1"
  shift
  cargo check --locked --quiet "$@"
  echo "builds"
}

check "no feature" --no-default-features
check "default features"
for feature in $features; do
  check "$feature alone" --no-default-features --features "$feature"
done
check "all features" --all-features
