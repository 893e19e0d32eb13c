//! What the program tells systemd.

use std::{os::unix::net::UnixDatagram, time::Duration};

use super::support::Place;

/// Waits for a message that has the line.
#[track_caller]
fn await_line(socket: &UnixDatagram, line: &str) {
    loop {
        let mut bytes = [0; 1024];
        let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {line}: {error}"));
        let message = String::from_utf8_lossy(&bytes[..count]);
        if message.lines().any(|found| found == line) {
            return;
        }
    }
}

#[test]
fn systemd_hears_that_it_serves_that_it_lives_and_that_it_ends() {
    let place = Place::new();
    place.write("keepsight.toml", "version = 1\n");
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let serving = place.serve_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
        command.env_remove("WATCHDOG_PID");
    });
    await_line(&socket, "READY=1");
    await_line(&socket, "WATCHDOG=1");
    await_line(&socket, "WATCHDOG=1");
    serving.signal("TERM");
    await_line(&socket, "STOPPING=1");
    serving.ended().check(0, &[]);
}
