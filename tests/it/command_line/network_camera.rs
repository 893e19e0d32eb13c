//! A network camera on loopback, for tests.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// GStreamer's RTSP server with a picture at `/cam` for whoever asks; ended when it is dropped.
pub(super) struct NetworkCamera(Child);

impl NetworkCamera {
    /// Starts one at `port`, or a free one; its port.
    pub(super) fn start(port: u16) -> (Self, u16) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rtsp-camera.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .arg(port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let camera = Self(child);
        (camera, line.trim().parse().expect("the server says its port"))
    }

    /// Why there can't be one, if so.
    pub(super) fn lacking() -> Option<&'static str> {
        let works = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if !works("ffmpeg", &["-version"]) {
            return Some("ffmpeg is not installed");
        }
        let import = "import gi; gi.require_version('GstRtspServer', '1.0'); \
                      from gi.repository import Gst, GstRtspServer; Gst.init(None); \
                      assert all(Gst.ElementFactory.find(name) for name in \
                      ('videotestsrc', 'jpegenc', 'rtpjpegpay'))";
        (!works("/usr/bin/python3", &["-c", import]))
            .then_some("GStreamer's RTSP server is not installed; make rtsp-test installs it")
    }
}

impl Drop for NetworkCamera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
