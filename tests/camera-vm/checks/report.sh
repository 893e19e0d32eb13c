# Put before each of the other files, in the guest: says what was checked, one line a check.

failures=0
ok() { echo "ok    $1"; }
skip() { echo "skip  $1: $2"; }
# failed NAME FILE...: shows what there is to see
failed() {
  echo "FAIL  $1"
  shift
  for file in "$@"; do tail -n 20 "$file" | cut -c 1-400 | sed 's/^/      | /'; done
  failures=$((failures + 1))
}
# expect NAME FILE PATTERN...: every pattern is somewhere in the file
expect() {
  name=$1 file=$2
  shift 2
  for pattern in "$@"; do
    if ! grep -Eq -- "$pattern" "$file"; then
      failed "$name (no $pattern)" "$file"
      return 1
    fi
  done
  ok "$name"
}
# await SECONDS FILE PATTERN: until the pattern is in the file
await() {
  tries=$(($1 * 20))
  until grep -Eq -- "$3" "$2" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    usleep 50000
  done
}
finish() { [ $failures = 0 ]; exit $?; }
