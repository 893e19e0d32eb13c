//! The program whose faults can no longer be contained: it ends and says so, or goes on and says so.

use std::{os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use super::support::Place;
use crate::support::{client, site::await_value};

/// A configuration in which a plugin's init hangs, and one thread that hangs is one too many.
fn place(on_lost_containment: &str) -> Place {
    let place = Place::new();
    place.write("model.onnx", "not looked at before its description");
    make_pipe(&place.path().join("model.toml"));
    place.write(
        "keepsight.toml",
        &format!(
            "version = 1
             [runtime]
             on_lost_containment = \"{on_lost_containment}\"
             [runtime.limits]
             init = \"50ms\"
             shutdown = \"200ms\"
             abandoned_threads = 1
             [plugins.eye]
             use = \"video-tracker\"
             config = {{ gpu = \"off\", model = \"model.onnx\" }}"
        ),
    );
    place
}

/// Opening it hangs until somebody writes to it, which nobody does.
fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_process_that_is_to_exit_drains_and_exits_with_its_code() {
    let ended = place("exit").run(&["run", "--listen", "127.0.0.1:0"]);
    ended.check(75, &["faults can no longer be contained", "1 threads hang", "ending"]);
}

#[test]
fn a_process_that_is_to_report_goes_on_and_is_not_fed_to_the_watchdog() {
    let place = place("report");
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let serving = place.serve_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "40000");
        command.env_remove("WATCHDOG_PID");
    });
    let livez = || client::get(serving.address(), "/livez");
    await_value(|| livez().status.into(), |status| *status == 503);
    assert_eq!(client::get(serving.address(), "/readyz").status, 503);
    // Its loop may have been about to feed when the cap was reached; from the next round on it
    // doesn't. A round takes 20 ms at most, so there are rounds enough in these requests.
    socket.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    let mut quiet = false;
    for _ in 0..100 {
        let mut bytes = [0; 1024];
        quiet = socket.recv(&mut bytes).is_err();
        if quiet {
            break;
        }
    }
    assert!(quiet, "it is fed all the same");
    assert_eq!(livez().status, 503, "it serves");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}
