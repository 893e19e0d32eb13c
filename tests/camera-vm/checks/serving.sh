# Put before those files that run the whole binary: serves, asks, ends.

out=/tmp/out
log=/tmp/log
address=127.0.0.1:8787
id='platform-vivid.0[+]vivid-000-vid-cap'
export STATE_DIRECTORY=/tmp/state
mkdir -p $STATE_DIRECTORY

# get PATH: the answer into $out, JSON without the blanks that nobody needs
get() {
  # Not with wget's own -T: Debian's static busybox crashes in it.
  timeout 10 wget -q -O /tmp/answer "http://$address$1" 2>/tmp/refusal || cat /tmp/refusal >>/tmp/answer
  tr -d '\n' </tmp/answer | sed 's/": /":/g; s/, "/,"/g' >$out
}
# await_json SECONDS PATH PATTERN
await_json() {
  turns=$(($1 * 4))
  until get "$2" && grep -Eq -- "$3" $out; do
    turns=$((turns - 1))
    [ $turns -gt 0 ] || return 1
    usleep 250000
  done
}
# number KEY: its first value in $out, without a fraction; 0 where there is none
number() { value=$(grep -Eo "\"$1\":[0-9]+" $out | head -n 1 | cut -d: -f2); echo "${value:-0}"; }
# processed PLUGIN: how many frames it has had of the stream
processed() {
  value=$(grep -Eo "\"plugin\":\"$1\",[^}]*" $out | grep -Eo '"processed":[0-9]+' | cut -d: -f2)
  echo "${value:-0}"
}
# serve [OPTION...]: runs the binary until it answers
serve() {
  keepsight run --listen $address "$@" >$log 2>&1 &
  server=$!
  await_json 60 /v1/health '"status"' || failed "keepsight run $* answers" $log
}
# stop: as a service manager would, and within its patience
stop() {
  kill $server 2>/dev/null
  turns=100
  while kill -0 $server 2>/dev/null && [ $turns -gt 0 ]; do
    turns=$((turns - 1))
    usleep 100000
  done
  if kill -9 $server 2>/dev/null; then
    failed "$1" $log
  else
    wait $server
    status=$?
    if [ $status = 0 ]; then ok "$1"; else failed "$1 (status $status)" $log; fi
  fi
}
