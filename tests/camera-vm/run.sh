#!/usr/bin/env bash
# Checks Keepsight against real V4L2 cameras, in a small virtual machine.
#
#   run.sh [KEEPSIGHT [CAPTURE]]
#
# KEEPSIGHT is the binary (target/release/keepsight, else target/debug/keepsight), CAPTURE the
# example plugins/camera/examples/capture.rs (beside it, in examples/). Where one is missing, what
# needs it is skipped. A line a check: ok, FAIL or skip; then a line for each thing that goes wrong
# with cameras, with the number of checks that show what becomes of it. The status is 1 when a check
# failed, or nothing shows one of those; where no machine can be started it is 0, and a line says
# why.
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
skipped=

# machine CHECKS LIMIT FILE [PRELUDE...]: boots, runs checks/CHECKS.sh, and notes how it went
machine() {
  local status prelude
  if [[ ! -x $3 ]]; then
    echo "skip  $1: there is no $3"
    skipped=yes
    return
  fi
  cat "$here/checks/report.sh" >"$work/$1.sh"
  for prelude in "${@:4}"; do cat "$here/checks/$prelude.sh" >>"$work/$1.sh"; done
  cat "$here/checks/$1.sh" >>"$work/$1.sh"
  cp "$3" "$work/${3##*/}"
  strip --strip-debug "$work/${3##*/}" 2>/dev/null || true # only to start sooner
  CAMERA_VM_LIMIT=$2 "$here/machine.sh" "$work/$1.sh" "$work/${3##*/}" \
    2> >(tee "$work/errors" >&2) | tee -a "$work/said"
  status=${PIPESTATUS[0]}
  case $status in
    0) ;;
    77)
      echo "skip  $1: $(tail -n 1 "$work/errors")"
      skipped=yes
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

# What goes wrong with cameras, in rows: a name, as the checks have it behind theirs, and what it is.
rows() {
  cat <<'ROWS'
a no such camera
a' a node in /dev with a name that is no number
b somebody else has it
c it may not be opened
d-flag a frame that the driver flags as damaged
d-qbuf a buffer that the driver refuses, once
d-start a stream that the driver does not start
d-fatal a streaming error that stays
d-drops frames that the driver drops
e unplugged while it streams, and plugged in again
e' plugged in again while the old one is still open
f a size or rate that is not offered
f' left in a format or rate that nokhwa does not know
g frames stop
h asked to end while it waits for a frame
i what a frame says of itself
drop given back, whatever went before
ROWS
}

machine capture 600 "$capture"
machine keepsight 600 "$keepsight" serving
machine cycles 1500 "$keepsight" serving
[[ ! $skipped ]] || exit $result

echo
while read -r row what; do
  checks=$(grep -Ec "^ok .*\(row $row\)" "$work/said")
  failures=$(grep -Ec "^FAIL .*\(row $row\)" "$work/said")
  if ((checks && !failures)); then
    printf 'ok    row %-7s %s (checks: %d)\n' "$row" "$what" "$checks"
  else
    printf 'FAIL  row %-7s %s (checks: %d, failed: %d)\n' "$row" "$what" "$((checks + failures))" "$failures"
    result=1
  fi
done < <(rows)
exit $result
