#!/usr/bin/env bash
# Checks Keepsight against real V4L2 cameras, in a small virtual machine.
#
#   run.sh [KEEPSIGHT [CAPTURE]]
#
# KEEPSIGHT is the binary (target/release/keepsight, else target/debug/keepsight), CAPTURE the
# example plugins/camera/examples/capture.rs (beside it, in examples/). Where one is missing, what
# needs it is skipped. A line a check: ok, FAIL or skip. The status is 1 when a check failed; where
# no machine can be started it is 0, and a line says why.
set -uo pipefail

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
root=${here%/tests/camera-vm}
keepsight=${1:-}
if [[ ! $keepsight ]]; then
  for profile in release debug; do
    [[ $keepsight ]] || [[ ! -x $root/target/$profile/keepsight ]] || keepsight=$root/target/$profile/keepsight
  done
fi
capture=${2:-${keepsight:+${keepsight%/*}/examples/capture}}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
result=0

# machine CHECKS LIMIT FILE: boots, runs checks/CHECKS.sh, and notes how it went
machine() {
  local status
  if [[ ! -x $3 ]]; then
    echo "skip  $1: there is no $3"
    return
  fi
  cat "$here/checks/report.sh" "$here/checks/$1.sh" >"$work/$1.sh"
  cp "$3" "$work/${3##*/}"
  strip --strip-debug "$work/${3##*/}" 2>/dev/null || true # only to start sooner
  CAMERA_VM_LIMIT=$2 "$here/machine.sh" "$work/$1.sh" "$work/${3##*/}" 2> >(tee "$work/errors" >&2)
  status=$?
  case $status in
    0) ;;
    77)
      echo "skip  $1: $(tail -n 1 "$work/errors")"
      ;;
    124)
      echo "FAIL  $1: not done within $2 s"
      result=1
      ;;
    *)
      ((status == 1)) || echo "FAIL  $1: the machine ended with $status"
      result=1
      ;;
  esac
}

machine capture 300 "$capture"
machine keepsight 300 "$keepsight"
exit $result
