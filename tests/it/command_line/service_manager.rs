//! What the program tells systemd.

use std::{os::unix::net::UnixDatagram, time::Duration};

use super::{running::EMPTY, support::Place};

/// Waits for a message that has the line, and gives it.
#[track_caller]
fn await_line(socket: &UnixDatagram, line: &str) -> String {
    loop {
        let mut bytes = [0; 1024];
        let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no {line}: {error}"));
        let message = String::from_utf8_lossy(&bytes[..count]);
        if message.lines().any(|found| found == line) {
            return message.into_owned();
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

#[test]
fn systemd_hears_that_the_configuration_is_read_again() {
    let place = Place::new();
    place.write("keepsight.toml", EMPTY);
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let serving = place.serve_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    await_line(&socket, "READY=1");
    serving.signal("HUP");
    let message = await_line(&socket, "RELOADING=1");
    assert!(message.contains("\nMONOTONIC_USEC="), "{message}");
    let message = await_line(&socket, "READY=1");
    assert!(!message.contains("nothing changed"), "{message}");
    place.write("keepsight.toml", "version = 1\nserfer = 1\n");
    serving.signal("HUP");
    await_line(&socket, "RELOADING=1");
    let message = await_line(&socket, "READY=1");
    assert!(message.contains("nothing changed: keepsight.toml:2:1: unknown key"), "{message}");
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}

#[cfg(feature = "scene")]
#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let place = Place::new();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let source = ["--source", "scene:?size=64x48&targets=0"];
    let serving = place.serve_with(&source, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    await_line(&socket, "READY=1");
    serving.signal("HUP");
    await_line(&socket, "RELOADING=1");
    let message = await_line(&socket, "READY=1");
    assert!(message.contains("there is nothing to read again"), "{message}");
    assert_eq!(serving.get("/v1/inspector/host")["last_reread"], serde_json::Value::Null);
    serving.signal("TERM");
    serving.ended().check(0, &["there is nothing to read again"]);
}
