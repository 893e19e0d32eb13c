use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{Crash, crash_record::CrashRecord};
use crate::{
    lifecycle::Cause,
    sandbox::{CrashSlots, CrashTraces, OpenError},
};

/// Keeps the crash slots in the state folder, and what they told of the process before.
///
/// A folder that can't be written is said once; slots are in memory until it can be again, which
/// a thread of its own looks for.
pub struct CrashKeeper {
    slots: Arc<CrashSlots>,
    record: Arc<CrashRecord>,
    stop: mpsc::Sender<()>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl CrashKeeper {
    /// Takes over the state folder, and says who ran when the process before died.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(slots: Arc<CrashSlots>, state_dir: &Path) -> std::io::Result<(Self, Vec<Crash>)> {
        Self::start_looking_every(LOOK_EVERY, slots, state_dir)
    }

    fn start_looking_every(
        pause: Duration,
        slots: Arc<CrashSlots>,
        state_dir: &Path,
    ) -> std::io::Result<(Self, Vec<Crash>)> {
        let record = Arc::new(CrashRecord::in_folder(state_dir));
        let (tended, crashes) = Tended::begin(slots.clone(), record.clone(), state_dir);
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("keepsight-crash-slots".to_owned())
            .spawn(move || tended.tend(&stopped, pause))?;
        Ok((Self { slots, record, stop, thread: Mutex::new(Some(thread)) }, crashes))
    }

    /// The process ends in order: nobody is named by the next one.
    pub fn end(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let _ = self.stop.send(());
        if thread.join().is_err() {
            tracing::error!("the keeper of the crash slots panicked");
        }
        self.slots.end();
        if let Err(error) = self.record.forget() {
            tracing::warn!(%error, "the record of the last crash can't be removed");
        }
    }
}

/// What the thread looks after.
struct Tended {
    slots: Arc<CrashSlots>,
    record: Arc<CrashRecord>,
    folder: PathBuf,
    is_open: bool,
    /// When a crash of the process before is no longer the first of a row.
    forgives_at: Option<Instant>,
}

impl Tended {
    fn begin(
        slots: Arc<CrashSlots>,
        record: Arc<CrashRecord>,
        folder: &Path,
    ) -> (Self, Vec<Crash>) {
        let opened = slots.open(folder);
        let is_open = opened.is_ok();
        let crashes = opened.map_or_else(
            |error| {
                warn(&error);
                Vec::new()
            },
            |traces| entered(&record, traces),
        );
        let forgives_at = (!crashes.is_empty()).then(|| Instant::now() + FORGIVEN_AFTER);
        let folder = folder.to_owned();
        (Self { slots, record, folder, is_open, forgives_at }, crashes)
    }

    fn tend(mut self, stopped: &mpsc::Receiver<()>, pause: Duration) {
        while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
            self.look();
        }
    }

    /// Sees whether everything is where the next process would find it; what isn't is said once,
    /// and is put there as soon as that can be done.
    fn look(&mut self) {
        if self.is_open {
            if let Err(error) = self.slots.tend() {
                warn(&error);
                self.is_open = false;
            }
        } else if let Ok(traces) = self.slots.open(&self.folder) {
            tracing::info!(folder = %self.folder.display(), "crash slots are kept again");
            entered(&self.record, traces);
            self.is_open = true;
        }
        if self.record.write_pending() == Some(true) {
            tracing::info!(folder = %self.folder.display(), "the last crash is recorded after all");
        }
        if self.forgives_at.is_some_and(|at| Instant::now() >= at) && self.record.forget().is_ok() {
            self.forgives_at = None;
        }
    }
}

fn entered(record: &CrashRecord, traces: CrashTraces) -> Vec<Crash> {
    if traces.machine_restarted {
        let names: Vec<_> = traces.occupants.iter().map(|who| who.instance.as_str()).collect();
        if !names.is_empty() {
            tracing::info!(running = %names.join(", "), "the machine went down with the process");
        }
    }
    let (crashes, written) = record.enter(traces);
    for crash in &crashes {
        let Crash { instance, stream, generation, phase, in_a_row, panic } = crash;
        tracing::error!(plugin = %instance, stream = stream.as_deref(), generation, %phase,
            in_a_row, panic, "the process died while this ran");
    }
    if let Err(error) = written {
        tracing::warn!(%error, "the crash can't be recorded yet; a repeat might go unnoticed");
    }
    crashes
}

impl Crash {
    /// Why its instance is left alone, if it is: it ran each time that the last processes died.
    pub fn quarantine(&self) -> Option<Cause> {
        (self.in_a_row >= IN_A_ROW_MAX).then(|| {
            let Self { phase, in_a_row, panic, .. } = self;
            let last = panic.as_ref().map(|panic| format!("; the last time {panic}"));
            let last = last.unwrap_or_default();
            Cause::new(
                "supervisor.crashed_process",
                format!(
                    "the process died {in_a_row} times in a row while this ran ({phase}){last}"
                ),
            )
            .with_hint("look at the log and the kernel's for why; reload the plugin to try again")
        })
    }
}

fn warn(error: &OpenError) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, source, "crash slots are in memory: a crash will name nobody");
}

/// Crashes in a row from which an instance is left alone.
const IN_A_ROW_MAX: u32 = 2;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A process that has lived for so long is no part of a row.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Phase, Sandbox, SandboxLimits, SandboxScope};

    /// What a process that dies while `names` run leaves in `folder`.
    fn die(folder: &Path, names: &[&str]) {
        let sandbox = Sandbox::new(SandboxLimits::default());
        sandbox.crash_slots().open(folder).unwrap();
        let image = run_all(&sandbox, names, || std::fs::read(folder.join("crash-slots")).unwrap());
        // Behind the sandbox's back, as nothing in it can die alone.
        drop(sandbox);
        leave(folder, &image);
    }

    /// Puts the file in its place. A worker that is just ending may have the one there mapped, so
    /// that one is replaced and not written over: shortened, it would end the process.
    fn leave(folder: &Path, image: &[u8]) {
        let unfinished = folder.join("crash-slots.new");
        std::fs::write(&unfinished, image).unwrap();
        std::fs::rename(unfinished, folder.join("crash-slots")).unwrap();
    }

    /// The result of `f` while each of `names` runs.
    fn run_all<R>(sandbox: &Arc<Sandbox>, names: &[&str], f: impl FnOnce() -> R) -> R {
        let (started, starts) = mpsc::channel();
        let mut held = Vec::new();
        for name in names {
            let (release, released) = mpsc::channel::<()>();
            let started = started.clone();
            let worker = sandbox
                .spawn_worker(
                    name,
                    SandboxScope::new(*name, None, 4),
                    |fault| panic!("{fault}"),
                    move |seat| {
                        let held = seat.run(Phase::Run, LONG, |_| {
                            started.send(()).unwrap();
                            released.recv().unwrap_err();
                        });
                        held.unwrap();
                    },
                )
                .unwrap();
            starts.recv_timeout(LONG).unwrap();
            held.push((release, worker));
        }
        let result = f();
        for (release, worker) in held {
            drop(release);
            assert!(worker.join_within(LONG));
        }
        result
    }

    fn start(folder: &Path) -> (Arc<Sandbox>, CrashKeeper, Vec<Crash>) {
        let sandbox = Sandbox::new(SandboxLimits::default());
        let (keeper, crashes) = CrashKeeper::start(sandbox.crash_slots().clone(), folder).unwrap();
        (sandbox, keeper, crashes)
    }

    #[track_caller]
    fn check(folder: &Path, expected: &[(&str, u32)]) {
        let (sandbox, keeper, crashes) = start(folder);
        let found: Vec<_> =
            crashes.iter().map(|crash| (crash.instance.as_str(), crash.in_a_row)).collect();
        assert_eq!(found, expected);
        for crash in &crashes {
            let code = crash.quarantine().map(|cause| cause.code);
            let repeated = crash.in_a_row > 1;
            assert_eq!(code.as_deref(), repeated.then_some("supervisor.crashed_process"));
            assert_eq!((crash.phase, crash.generation), (Phase::Run, 4));
        }
        // It dies too, without an end in order.
        let _ = keeper.stop.send(());
        keeper.thread.lock().unwrap().take().unwrap().join().unwrap();
        drop((keeper, sandbox));
    }

    #[test]
    fn who_ran_at_two_crashes_in_a_row_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        check(folder, &[]);
        die(folder, &["tracker", "stats"]);
        check(folder, &[("tracker", 1), ("stats", 1)]);
        die(folder, &["stats", "other"]);
        check(folder, &[("stats", 2), ("other", 1)]);
        die(folder, &["tracker"]);
        check(folder, &[("tracker", 1)]);
    }

    #[test]
    fn an_end_in_order_ends_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        die(folder, &["tracker"]);
        let (sandbox, keeper, crashes) = start(folder);
        assert_eq!(crashes.len(), 1);
        // Even while something runs.
        run_all(&sandbox, &["hangs"], || keeper.end());
        drop((keeper, sandbox));
        check(folder, &[]);
        die(folder, &["tracker"]);
        check(folder, &[("tracker", 1)]);
    }

    #[test]
    fn a_restart_of_the_machine_is_nobodys_fault() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        die(folder, &["tracker"]);
        let file = folder.join("crash-slots");
        let mut image = std::fs::read(&file).unwrap();
        image[8] ^= 1; // the machine's start, behind the name of the layout
        leave(folder, &image);
        check(folder, &[]);
    }

    #[test]
    fn whose_panic_ended_the_process_is_named_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        die(folder, &["stats", "tracker"]);
        for (in_a_row, instance, phase) in
            [(1, "tracker", Phase::Run), (2, "tracker", Phase::Run), (1, "own", Phase::Thread)]
        {
            die(folder, &["stats", "tracker"]);
            let words = serde_json::json!({
                "instance": instance, "stream": null, "generation": 4,
                "message": "no more", "location": "a.rs:1:2", "thread": "worker",
            });
            std::fs::write(folder.join("last-panic.json"), words.to_string()).unwrap();
            let (sandbox, keeper, crashes) = start(folder);
            let panic = "thread \"worker\" panicked at a.rs:1:2: no more".to_owned();
            let expected = Crash {
                instance: instance.to_owned(),
                stream: None,
                generation: 4,
                phase,
                in_a_row,
                panic: Some(panic),
            };
            assert_eq!(crashes, [expected]);
            let quarantine = crashes[0].quarantine().map(|cause| cause.reason);
            assert_eq!(quarantine.is_some_and(|why| why.ends_with("no more")), in_a_row > 1);
            let _ = keeper.stop.send(());
            keeper.thread.lock().unwrap().take().unwrap().join().unwrap();
            drop((keeper, sandbox));
        }
    }

    #[test]
    fn a_folder_that_two_share_serves_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let (_sandbox, keeper, _) = start(folder.path());
        let other = Sandbox::new(SandboxLimits::default());
        let refused = other.crash_slots().open(folder.path()).unwrap_err();
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
        keeper.end();
    }

    #[test]
    fn slots_go_on_in_memory_and_come_back() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        std::fs::write(&folder, "a file where a folder should be").unwrap();
        let sandbox = Sandbox::new(SandboxLimits::default());
        let slots = sandbox.crash_slots();
        let refused = slots.open(&folder).unwrap_err();
        assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
        run_all(&sandbox, &["in-memory"], || ());

        std::fs::remove_file(&folder).unwrap();
        let named = |name: &str| {
            let image = std::fs::read(folder.join("crash-slots")).unwrap();
            image.windows(name.len()).any(|window| window == name.as_bytes())
        };
        run_all(&sandbox, &["running-then"], || {
            slots.open(&folder).unwrap();
            assert!(named("running-then"), "who ran before it came is in it too");
        });
        slots.tend().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        run_all(&sandbox, &["vanished"], || {
            slots.tend().unwrap();
            assert!(named("vanished"), "made anew");
        });
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "in the way").unwrap();
        slots.tend().unwrap_err();
        run_all(&sandbox, &["in-memory-again"], || ());
    }

    /// What is logged on this thread by `f`, counted by what it contains.
    fn logged(wanted: &str, f: impl FnOnce()) -> usize {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, f);
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        lines.lines().filter(|line| line.contains(wanted)).count()
    }

    #[track_caller]
    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + LONG;
        while !holds() {
            assert!(Instant::now() < end, "{what}");
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Slots can't be kept in `folder` until `mend` has been called: said once, and kept from then
    /// on without anybody's asking.
    #[track_caller]
    fn check_overcome(folder: &Path, mend: impl FnOnce()) {
        let warning = "crash slots are in memory";
        let said = logged(warning, || {
            let sandbox = Sandbox::new(SandboxLimits::default());
            let record = Arc::new(CrashRecord::in_folder(folder));
            let slots = sandbox.crash_slots().clone();
            let (mut tended, crashes) = Tended::begin(slots, record, folder);
            assert_eq!(crashes, []);
            (0..5).for_each(|_| tended.look());
        });
        assert_eq!(said, 1);

        let sandbox = Sandbox::new(SandboxLimits::default());
        let slots = sandbox.crash_slots().clone();
        let soon = Duration::from_millis(1);
        let (keeper, _) = CrashKeeper::start_looking_every(soon, slots, folder).unwrap();
        run_all(&sandbox, &["in-memory"], || ());
        mend();
        run_all(&sandbox, &["kept-again"], || {
            eventually("it is kept again", || {
                let image = std::fs::read(folder.join("crash-slots")).unwrap_or_default();
                image.windows(10).any(|window| window == b"kept-again")
            });
        });
        keeper.end();
        check(folder, &[]);
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_overcome() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        std::fs::write(&folder, "a file where a folder should be").unwrap();
        check_overcome(&folder, || std::fs::remove_file(&folder).unwrap());
    }

    #[test]
    fn a_full_disk_is_overcome() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crash-slots");
        std::os::unix::fs::symlink("/dev/full", &file).unwrap();
        check_overcome(folder.path(), || std::fs::remove_file(&file).unwrap());
    }

    #[test]
    fn a_folder_that_nobody_can_write_keeps_nothing_from_running() {
        let (sandbox, keeper, crashes) = start(Path::new("/proc/keepsight"));
        assert_eq!(crashes, []);
        run_all(&sandbox, &["in-memory"], || ());
        keeper.end();
    }

    #[test]
    fn a_folder_that_vanishes_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        let sandbox = Sandbox::new(SandboxLimits::default());
        let slots = sandbox.crash_slots().clone();
        let soon = Duration::from_millis(1);
        let (keeper, _) = CrashKeeper::start_looking_every(soon, slots, &folder).unwrap();
        for _ in 0..3 {
            std::fs::remove_dir_all(&folder).unwrap();
            eventually("it is there again", || folder.join("crash-slots").exists());
        }
        keeper.end();
        check(&folder, &[]);
    }

    #[test]
    fn a_crash_that_can_not_be_recorded_at_once_is_recorded_later() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        die(folder, &["tracker"]);
        // A folder where the record is about to be written.
        let in_the_way = folder.join("last-crash.new");
        std::fs::create_dir(&in_the_way).unwrap();
        let sandbox = Sandbox::new(SandboxLimits::default());
        let slots = sandbox.crash_slots().clone();
        let soon = Duration::from_millis(1);
        let (keeper, crashes) = CrashKeeper::start_looking_every(soon, slots, folder).unwrap();
        assert_eq!(crashes.len(), 1, "what is said is right all the same");
        assert!(!folder.join("last-crash.json").exists());
        std::fs::remove_dir(&in_the_way).unwrap();
        eventually("it is recorded", || folder.join("last-crash.json").exists());
        let _ = keeper.stop.send(());
        keeper.thread.lock().unwrap().take().unwrap().join().unwrap();
        drop((keeper, sandbox));
        die(folder, &["tracker"]);
        check(folder, &[("tracker", 2)]);
    }

    const LONG: Duration = Duration::from_secs(60);
}
