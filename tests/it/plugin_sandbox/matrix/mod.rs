//! Every kind of fault that threads contain, each in a whole process of its own configuration: the
//! real runtime and its server. While it happens, health is asked for and answers; afterwards the
//! report says what happened, and what is beside it goes on.

mod endurance;
mod errors;
mod hangs;
mod memory;
mod panics;
mod places;
mod stage;

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

/// What the summary calls a kind of fault, and what provokes one and looks at what comes of it.
type Case = (&'static str, fn());

/// In a process of a case's own: which.
const ONLY: &str = "KEEPSIGHT_TEST_FAULT_KIND";
/// Cases at a time. Most of them wait for a deadline.
const AT_ONCE: usize = 6;

#[test]
fn every_kind_of_fault_is_contained() {
    let all = [
        panics::CASES,
        places::CASES,
        errors::CASES,
        hangs::CASES,
        memory::CASES,
        endurance::CASES,
    ]
    .concat();
    let kinds: BTreeSet<_> = all.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), all.len(), "each kind once");
    if let Ok(only) = env::var(ONLY) {
        let (_, provoke) = all.iter().find(|(kind, _)| *kind == only).expect("a kind");
        return provoke();
    }

    let waiting = Mutex::new(all.iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((kind, provoke)) = next else { return };
                    let case = thread::Builder::new().name((*kind).to_owned()).spawn(*provoke);
                    if case.unwrap().join().is_err() {
                        failed.lock().unwrap().push(*kind);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "not contained as it should be: {failed:?}");

    let listed: Vec<_> = all.iter().map(|(kind, _)| *kind).collect();
    let summary = format!("contained: {} fault kinds: {}\n", listed.len(), listed.join("; "));
    // `make test` ends with it.
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("contained-faults.txt"), summary)
        .unwrap();
}

/// Runs a case that changes or measures its whole process in one of its own: there this says
/// `true`, and the case goes on; here it waits for that, and says `false`.
fn is_alone() -> bool {
    if env::var_os(ONLY).is_some() {
        return true;
    }
    let case = thread::current();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(ONLY, case.name().expect("a case's thread has its name"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && out.contains("1 passed"), "{out}{err}");
    false
}

const TEST: &str = "plugin_sandbox::matrix::every_kind_of_fault_is_contained";
