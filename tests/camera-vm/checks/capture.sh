# The source alone, by plugins/camera/examples/capture.rs, against cameras that misbehave.

out=/tmp/out
# run [OPTION...]: captures to the end
run() { capture "$@" >$out 2>&1; }
# start [OPTION...]: captures in the background, from the first frame on
start() {
  : >$out
  capture "$@" >$out 2>&1 &
  job=$!
  await 10 $out '^opened'
}
inject() { v4l2-ctl -d /dev/video0 -c "$1"; }
frames='took frames=50 '

run camera:0 --frames 50
expect 'streams 640x480 without a wish' $out "$frames" 'width: 640, height: 480' 'rate: Some\(25' \
  'luma=Ok\([1-9]' 'captures_leaked=0'
expect 'frames have a number, a time and as many bytes as they need (row i)' $out \
  'last sequence=[0-9]+ bytes=460800 stride=640 age=[0-9]{1,4} ms'
run camera:platform-vivid.0+vivid-001-vid-cap --frames 5
expect 'opens a camera by its lasting name' $out 'dev/video1' 'took frames=5 '
run camera:/dev/video1 --frames 5
expect 'opens a camera by its node' $out 'dev/video1' 'took frames=5 '
run camera:0 --frames 10 --size 1280x720 --fps 12.5
expect 'takes a rate that is no whole number' $out 'width: 1280, height: 720' 'rate: Some\(12.5\)' 'took frames=10 '
run camera:0 --frames 10 --size 650x470 --fps 24
expect 'takes the nearest of what is offered (row f)' $out 'width: 640, height: 480' 'rate: Some\(25' 'took frames=10 '
run camera:0?backend=nokhwa --frames 50
expect 'streams through nokhwa' $out "$frames" 'width: 640, height: 480'
run camera:0?backend=nokhwa --frames 10 --size 650x470 --fps 24
expect 'nokhwa takes the nearest of what is offered (row f)' $out 'width: 640, height: 480' 'rate: Some\(25'

# Row a: no such device; nodes with odd names.
for backend in native nokhwa; do
  run "camera:7?backend=$backend"
  expect "$backend: a missing camera is not found (row a)" $out 'error source.not_found: there is no camera 7' 'vivid-000'
done
touch /dev/videofoo /dev/video-9
run --list
expect "lists cameras beside odd nodes (row a')" $out 'alias: Some\("camera:0"\)' 'alias: Some\("camera:1"\)'
run camera:0 --frames 5
expect "opens a camera beside odd nodes (row a')" $out 'took frames=5 '
rm /dev/videofoo /dev/video-9

# Row b: busy, in the format that is wanted, and in another.
for format in NV12 RGB3; do
  v4l2-ctl -d /dev/video0 -v width=640,height=480,pixelformat=$format >/dev/null
  : >/tmp/holder # or what the last one left would be taken for this one's
  v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=10000 >/tmp/holder 2>&1 &
  holder=$!
  await 10 /tmp/holder '<'
  for backend in native nokhwa; do
    run "camera:0?backend=$backend"
    expect "$backend: a camera busy in $format names who has it (row b)" $out 'error source.busy' "v4l2-ctl \\(process $holder\\)"
  done
  run --list
  expect "lists who has a camera ($format)" $out "holder: Some\\(\"v4l2-ctl \\(process $holder\\)\"\\)"
  kill $holder
  wait $holder 2>/dev/null
  run camera:0 --frames 5
  expect "streams when the other let go ($format)" $out 'took frames=5 '
done
start camera:0 --frames 1000 --seconds 60
capture camera:0 >/tmp/second 2>&1
kill $job
wait $job 2>/dev/null
expect 'two of us: the second is busy' /tmp/second 'error source.busy' "capture \\(process $job\\)"

# Row c: no permission.
chmod 600 /dev/video0
for backend in native nokhwa; do
  su -s /bin/sh nobody -c "capture camera:0?backend=$backend" >$out 2>&1
  expect "$backend: a camera that may not be opened says what to do (row c)" $out 'error source.denied' 'group video'
done
su -s /bin/sh nobody -c "capture --list" >$out 2>&1
expect 'lists a camera that may not be opened (row c)' $out 'camera:0' 'trouble: Some\(".*group video'

# Row d: what drivers do wrong.
start camera:0 --frames 50
inject inject_v4l2_buf_flag_error=1
wait $job
expect 'leaves out a frame that the driver flags (row d-flag)' $out "$frames" 'frames_damaged=1'
start camera:0 --frames 50
inject inject_vidioc_qbuf_error=1
wait $job
expect 'goes on after a buffer was refused (row d-qbuf)' $out "$frames" 'captures_leaked=0'
inject inject_vidioc_reqbufs_error=1
run camera:0
expect 'says when the driver gives no buffers (row d-start)' $out 'error source.failed'
inject inject_vidioc_streamon_error=1
run camera:0
expect 'says when the driver does not start (row d-start)' $out 'error source.failed' 'captures_leaked=0'
run camera:0 --frames 50
expect 'starts the next time (row d-start)' $out "$frames"
start camera:0 --frames 500
inject inject_fatal_streaming_error=1
wait $job
expect 'ends at a fatal error, at once (row d-fatal)' $out 'error source.failed' 'failed after' 'captures_leaked=0'
run camera:0 --frames 50
expect 'streams after a fatal error (row d-fatal)' $out "$frames"
inject percentage_of_dropped_buffers=50
run camera:0 --frames 50
expect 'frames that the driver drops are gaps (row d-drops)' $out "$frames" 'gaps=[1-9]' 'frames_missed=[1-9]'
inject percentage_of_dropped_buffers=0
inject wrap_sequence_number=1
run camera:0 --frames 100
expect 'numbers go on when the driver wraps' $out 'took frames=100 gaps=[0-9] '
inject wrap_sequence_number=0

# Row f': a device left in what nokhwa can't express.
for backend in native nokhwa; do
  v4l2-ctl -d /dev/video0 -v width=1280,height=720,pixelformat=YUYV -p 12.5 >/dev/null
  run "camera:0?backend=$backend" --frames 5
  expect "$backend: opens a device left at 25/2 a second (row f')" $out 'took frames=5 ' 'width: 640, height: 480'
  v4l2-ctl -d /dev/video0 -v width=640,height=480,pixelformat=HSV4 >/dev/null
  run "camera:0?backend=$backend" --frames 5
  expect "$backend: opens a device left in an odd format (row f')" $out 'took frames=5 ' 'format: Nv12'
done

# Row g: frames stop. A call waits 200 ms; an emulated machine is given more.
quick='slowest=(..?.?|1...) ms'
start camera:0 --frames 500
inject percentage_of_dropped_buffers=100
wait $job
expect 'frames that stop are a stall, and no call blocks (row g)' $out 'error source.stalled' "$quick" \
  'captures_leaked=0'
inject percentage_of_dropped_buffers=0
start camera:0?backend=nokhwa --frames 500
inject percentage_of_dropped_buffers=100
wait $job
expect 'nokhwa: frames that stop end the capture, though its thread stays (row g)' $out \
  'error source.(stalled|failed)' "$quick" 'captures_leaked=1'
inject percentage_of_dropped_buffers=0

run camera:0 --frames 3 --times 20
expect 'opens and closes twenty times (row drop)' $out 'took frames=3 ' 'captures_leaked=0'
v4l2-ctl -d /dev/video0 --stream-mmap --stream-count=3 >/tmp/holder 2>&1
expect 'gives the camera back (row drop)' /tmp/holder '<<<'

# Row e: unplugged while streaming, and plugged in again.
start camera:0 --frames 500
inject disconnect=1
wait $job
expect 'an unplugged camera is lost, at once (row e)' $out 'error source.lost' 'captures_leaked=0'
start camera:1?backend=nokhwa --frames 500
v4l2-ctl -d /dev/video1 -c disconnect=1
wait $job
expect 'nokhwa: an unplugged camera is lost (row e)' $out 'error source.lost' 'captures_leaked=0'
run --list
driver=/sys/bus/platform/drivers/vivid
echo vivid.0 >$driver/unbind
run camera:0
expect 'a camera that is gone is not found' $out 'error source.not_found' 'no camera is plugged in'
run --list
[ -s $out ] && grep -q DeviceListing $out && failed 'lists no camera that is gone' $out || ok 'lists no camera that is gone'
echo vivid.0 >$driver/bind
run camera:platform-vivid.0+vivid-000-vid-cap --frames 50
expect 'streams again when it is plugged in again (row e)' $out "$frames"

# Row e': plugged in again while somebody still has the old one open: its number is another.
exec 9</dev/video0
echo vivid.0 >$driver/unbind
echo vivid.0 >$driver/bind
run camera:platform-vivid.0+vivid-000-vid-cap --frames 5
expect "a camera that comes back under another number is found by its name (row e')" $out \
  'dev/video[1-9]' 'took frames=5 '
exec 9<&-
finish
