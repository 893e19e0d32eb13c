#!/usr/bin/env bash
# Fuzzes one reader after the other; says what came of each, and keeps what broke one.
#
#   run.sh SECONDS [TARGET...]
#
# It takes a nightly toolchain where there is one. Where there is none, the stable one is told to
# allow what fuzzing needs (RUSTC_BOOTSTRAP=1); what is fuzzed is the same.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?"usage: run.sh SECONDS [TARGET...]"}
shift
targets=("$@")
if ((${#targets[@]} == 0)); then
  for file in fuzz/fuzz_targets/*.rs; do
    targets+=("$(basename "$file" .rs)")
  done
fi

skip() {
  echo "skipped: $*"
  exit 0
}

if ! command -v cargo-fuzz >/dev/null; then
  echo "installing cargo-fuzz"
  cargo install --locked cargo-fuzz || skip "cargo-fuzz is missing and could not be installed"
fi

toolchain=()
if [[ $(rustup toolchain list 2>/dev/null) == *nightly* ]]; then
  toolchain=(+nightly)
  echo "fuzzing with $(rustc +nightly --version)"
else
  export RUSTC_BOOTSTRAP=1
  echo "fuzzing with $(rustc --version), for there is no nightly toolchain: RUSTC_BOOTSTRAP=1"
fi

# Whether the compiler builds and links a program with these flags.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
builds() {
  echo 'fn main() {}' | rustc "${toolchain[@]}" "$@" -o "$scratch/probe" - >/dev/null 2>&1
}

if builds -Zsanitizer=address; then
  sanitizer=address
elif builds -Cpasses=sancov-module; then
  sanitizer=none
  echo "this toolchain has no address sanitizer: memory in one piece is not limited"
else
  skip "this toolchain can't watch which code runs; install nightly: rustup install nightly"
fi

cargo "${toolchain[@]}" fuzz build --sanitizer "$sanitizer"

broken=()
for target in "${targets[@]}"; do
  # Pictures are decoded within small limits; a call's picture may be as large as any.
  case $target in
    arguments | http_request) piece=300 ;;
    *) piece=64 ;;
  esac
  mkdir -p "fuzz/corpus/$target"
  log=$scratch/log
  if cargo "${toolchain[@]}" fuzz run --sanitizer "$sanitizer" "$target" \
    "fuzz/corpus/$target" "fuzz/seeds/$target" -- -max_total_time="$seconds" \
    -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=$piece -print_final_stats=1 \
    >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: $runs inputs in $seconds s, nothing found"
  else
    tail -n 60 "$log"
    echo "$target: BROKEN"
    broken+=("$target")
  fi
done

if ((${#broken[@]})); then
  echo "broken: ${broken[*]}; the inputs are in fuzz/artifacts"
  exit 1
fi
