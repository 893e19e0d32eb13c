# The whole binary: a camera streams into its plugins, and health tells of it.

printf 'version = 1\n[streams.camera]\nsource = "camera:0"\nplugins = []\n' >/tmp/denied.toml
chmod 644 /tmp/denied.toml
keepsight cameras --json >/tmp/cameras 2>$log
tr -d '\n ' </tmp/cameras >$out
expect 'keepsight cameras --json lists both cameras' $out "\"uri\":\"camera:$id\"" '"alias":"camera:0"' \
  '"alias":"camera:1"' '"format":"NV12"' '"size":"640x480"'
keepsight cameras >$out 2>&1
expect 'keepsight cameras names them for people' $out "camera:$id" '640x480'

serve --source camera:0
live='"state":"live".*"format":"nv12","size":\{"width":640,"height":480\}'
await_json 60 /v1/streams "$live"
expect 'camera:0 streams 640x480' $out '"name":"camera"' "$live" "\"device\":\"[^\"]*/dev/video0"
await_json 60 /v1/plugins '"state":"RUNNING".*"state":"RUNNING"'
expect 'VideoTracker and frame-stats run' $out '"name":"video-tracker","state":"RUNNING"' \
  '"name":"frame-stats","state":"RUNNING"'
get /v1/plugins/video-tracker/health
expect 'health of VideoTracker names the stream' $out '"streams":\{"camera":"running"'

# An emulated machine needs more for a detection than the 5 s that a frame has by default.
if [ "$accel" = tcg ]; then
  stop 'ends in the middle of a detection'
  cat >/tmp/keepsight.toml <<'TOML'
version = 1
[streams.camera]
source = "camera:0"
plugins = ["video-tracker", "frame-stats"]
[plugins.video-tracker]
deadline = "120s"
[plugins.frame-stats]
TOML
  serve --config /tmp/keepsight.toml
fi
await_json 90 /v1/streams/camera '"plugin":"video-tracker"[^}]*"processed":[1-9]'

# A minute, looked at every five seconds: frames come, and the plugins get them, all the time.
frames_first=$(number frames_in) tracked_first=$(processed video-tracker)
steady=yes
for look in 1 2 3 4 5 6 7 8 9 10 11 12; do
  frames=$(number frames_in) stats=$(processed frame-stats) tracked=$(processed video-tracker)
  sleep 5
  get /v1/streams/camera
  # Emulated, a detection takes longer than there is between two looks.
  [ "$accel" = tcg ] && tracked=$((look == 12 ? tracked_first + 1 : -1))
  if ! [ "$(number frames_in)" -gt "$frames" ] || ! [ "$(processed frame-stats)" -gt "$stats" ] ||
    ! [ "$(processed video-tracker)" -gt "$tracked" ]; then
    steady=no
    failed "a minute of frames: look $look, $frames frames, $stats and $tracked processed" $out $log
    break
  fi
done
frames=$(($(number frames_in) - frames_first))
echo "      a minute: $frames frames, $(processed frame-stats) by frame-stats, $(processed video-tracker) by video-tracker"
[ $steady = yes ] && ok 'a minute of frames into both plugins'
expect 'the stream was not opened again' $out '"reconnects":0' '"state":"live"'
get /v1/plugins
expect 'both plugins still run, without an error' $out \
  '"name":"video-tracker","state":"RUNNING"[^}]*"error_count":0' \
  '"name":"frame-stats","state":"RUNNING"[^}]*"error_count":0'
get /v1/streams/camera/tracks
expect 'the newest tracks can be asked for' $out '"stream":"camera"' '"tracks":'
# frame-stats' is always a fresh one; the tracker's may be too old to be shown where it is emulated.
get '/v1/streams/camera/snapshot.jpg?plugin=frame-stats'
if [ "$(head -c 2 /tmp/answer | od -An -tx1 | tr -d ' ')" = ffd8 ]; then
  ok 'the newest picture is a JPEG'
else
  failed 'the newest picture is a JPEG' $out
fi
keepsight cameras --json >/tmp/cameras 2>&1
expect 'keepsight cameras says who has the camera (row b)' /tmp/cameras "keepsight \\(process $server\\)"

# Unplugged and plugged in again.
v4l2-ctl -d /dev/video0 -c disconnect=1
await_json 20 /v1/streams/camera '"state":"(reconnecting|failed)"'
expect 'an unplugged camera is said to be lost (row e)' $out '"state":"reconnecting","code":"source\.(lost|not_found)"'
get /v1/plugins
expect 'its plugins stay well' $out '"name":"video-tracker","state":"(RUNNING|INITIALIZED)"'
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
await_json 60 /v1/streams/camera '"state":"live"'
expect 'it streams again when it is plugged in again (row e)' $out "$live" '"reconnects":[1-9]'
stop 'ends when it is asked to'
v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=3 >$out 2>&1
expect 'the camera is given back' $out '<<<'

# What is asked to end while no frames come, ends: no call into the driver is waited for.
for backend in native nokhwa; do
  printf 'version = 1\n[streams.camera]\nsource = "camera:0?backend=%s"\nplugins = ["frame-stats"]\n[plugins.frame-stats]\n' \
    $backend >/tmp/keepsight.toml
  serve --config /tmp/keepsight.toml
  await_json 60 /v1/streams/camera '"state":"live"'
  v4l2-ctl -d /dev/video0 -c percentage_of_dropped_buffers=100
  await_json 20 /v1/streams/camera '"state":"(stalled|reconnecting)"'
  expect "$backend: frames that stop are told (row g)" $out '"code":"source.stalled"'
  stop "$backend: ends while no frames come (row h)"
  v4l2-ctl -d /dev/video0 -c percentage_of_dropped_buffers=0
done

# A camera that may not be opened, for somebody who is not root.
chmod 600 /dev/video0
chmod 777 $STATE_DIRECTORY
su -s /bin/sh nobody -c "keepsight check --config /tmp/denied.toml" >$out 2>&1
expect 'keepsight check says what to do about a camera that may not be opened (row c)' $out \
  'source.denied' 'group video'
chmod 666 /dev/video0

# A camera that is not there.
serve --source camera:7
await_json 20 /v1/streams/camera '"code":"source.not_found"'
expect 'a missing camera is its stream'"'"'s state (row a)' $out '"state":"(reconnecting|opening)","code":"source.not_found"' \
  'there is no camera 7'
await_json 60 /v1/plugins '"name":"video-tracker","state":"INITIALIZED"'
expect 'a missing camera is no fault of a plugin' $out '"name":"video-tracker","state":"INITIALIZED"' \
  '"name":"frame-stats","state":"INITIALIZED"'
get /v1/plugins/video-tracker/health
expect 'its plugin says what it waits for' $out '"waiting_for":\["camera"\]'
stop 'ends without its camera'
finish
