# A camera that goes and comes back fifty times while it streams: nothing is leaked, nothing spins,
# and health tells the truth at each moment.

cycles=50
driver=/sys/bus/platform/drivers/vivid
stream=/v1/streams/camera
cat >/tmp/keepsight.toml <<'TOML'
version = 1
[streams.camera]
source = "camera:platform-vivid.0+vivid-000-vid-cap"
plugins = ["frame-stats"]
[plugins.frame-stats]
TOML

# node: where the camera is now
node() { for name in /sys/class/video4linux/*/name; do grep -q 000-vid-cap "$name" && basename "${name%/name}"; done; }
descriptors() { ls /proc/$server/fd | wc -l; }
threads() { ls /proc/$server/task | wc -l; }
# busy: processor time it has had, in hundredths of a second
busy() { awk '{ print $14 + $15 }' /proc/$server/stat; }
# least COMMAND: the smallest number that it says within some seconds, in which what was just asked
# for and answered goes away
least() {
  least=$($1)
  for look in 1 2 3 4 5 6 7 8 9 10 11 12; do
    usleep 250000
    now=$($1)
    [ "$now" -lt "$least" ] && least=$now
  done
  echo "$least"
}

serve --config /tmp/keepsight.toml
wget -q -O /tmp/events "http://$address/v1/events?stream=camera" &
follower=$!
await_json 60 $stream '"state":"live"' || failed 'streams at first' $out $log

# away: the camera is gone, or its frames are; tells whether health says so and the plugin is well
away() {
  await_json 60 $stream '"state":"reconnecting"' || return 1
  grep -Eq "\"code\":\"source.($1)\"" $out || return 1
  get /v1/plugins && grep -Eq '"name":"frame-stats","state":"(RUNNING|INITIALIZED)"' $out
}
# back: it streams, and frames come
back() {
  await_json 60 $stream '"state":"live","code":null,"reason":null' || return 1
  frames=$(number frames_in)
  turns=240
  until get $stream && [ "$(number frames_in)" -gt "$frames" ]; do
    turns=$((turns - 1))
    [ $turns -gt 0 ] || return 1
    usleep 250000
  done
}

truth=yes
descriptors_first='' threads_first='' idle=''
cycle=0
while [ $cycle -lt $cycles ]; do
  cycle=$((cycle + 1))
  case $((cycle % 10)) in
    0) # Only its frames stop, and after a while come again.
      v4l2-ctl -d /dev/"$(node)" -c percentage_of_dropped_buffers=100
      await_json 60 $stream '"state":"stalled","code":"source.stalled"' || truth=no
      away 'stalled' || truth=no
      v4l2-ctl -d /dev/"$(node)" -c percentage_of_dropped_buffers=0
      ;;
    1 | 3 | 5 | 7 | 9) # The driver says that it is gone.
      v4l2-ctl -d /dev/"$(node)" -c disconnect=1
      away 'lost|not_found' || truth=no
      echo vivid.0 >$driver/unbind
      if [ $cycle = 1 ]; then
        before=$(busy)
        sleep 5
        idle=$(($(busy) - before))
      fi
      echo vivid.0 >$driver/bind
      ;;
    *) # It is gone without a word.
      echo vivid.0 >$driver/unbind
      away 'lost|not_found' || truth=no
      echo vivid.0 >$driver/bind
      ;;
  esac
  back || truth=no
  if [ $truth = no ]; then
    failed "health tells the truth at each moment: cycle $cycle (row e)" $out $log
    break
  fi
  # Once everything was used that is used at all.
  if [ $cycle = 12 ]; then
    descriptors_first=$(least descriptors)
    threads_first=$(least threads)
  fi
done
[ $truth = yes ] && ok "health tells the truth at each moment of $cycles cycles (row e)"

said="nothing spins while the camera is away: $idle of 500 hundredths of a second (row e)"
if [ "${idle:-999}" -lt 250 ]; then ok "$said"; else failed "$said" $log; fi
for kind in descriptors threads; do
  eval "first=\$${kind}_first"
  last=$(least $kind)
  said="no $kind leak over $cycles cycles: ${first:-0} after twelve, $last at the end (row e)"
  if [ "$last" -le "${first:-0}" ]; then ok "$said"; else failed "$said" $log; fi
done
get $stream
expect 'the camera was given back each time (row drop)' $out '"captures_leaked":0'
reconnects=$(number reconnects)
# Attempts are paced, and the pauses grow: some for each cycle, never hundreds.
said="it was tried again $reconnects times in $cycles cycles (row e)"
if [ "$reconnects" -ge $cycles ] && [ "$reconnects" -le $((cycles * 10)) ]; then
  ok "$said"
else
  failed "$said" $out
fi

# What was told meanwhile: each coming and going, and nothing else.
kill $follower 2>/dev/null
grep -A 1 '^event: stream_state' /tmp/events | grep -Eo '"state":"[a-z]*"' | cut -d'"' -f4 | uniq >/tmp/states
lives=$(grep -c '^live$' /tmp/states)
losses=$(grep -c '^reconnecting$' /tmp/states)
odd=$(grep -Evc '^(live|stalled|reconnecting)$' /tmp/states)
said="the events tell each coming and going: live $lives times, lost $losses times, $odd others (row e)"
if [ "$lives" -ge $cycles ] && [ "$losses" -ge $cycles ] && [ "$odd" = 0 ]; then
  ok "$said"
else
  failed "$said" /tmp/states
fi
stop 'ends after all that'
finish
