//! Puts abandoned threads behind everything else.

#[cfg(target_os = "linux")]
pub(super) use linux::NativeThread;
#[cfg(not(target_os = "linux"))]
pub(super) use other::NativeThread;

#[cfg(target_os = "linux")]
mod linux {
    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    use thread_priority::{ThreadId, ThreadPriority, ThreadPriorityValue};

    /// The operating system's name of a thread.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::sandbox) struct NativeThread(ThreadId);

    impl NativeThread {
        pub(in crate::sandbox) fn current() -> Self {
            Self(thread_native_id())
        }

        /// Puts the thread into `SCHED_IDLE` (sched(7)): it runs only when nothing else wants to.
        ///
        /// The thread must still be running; the caller holds a lock that its end needs. The crate
        /// also sets the *calling* thread's niceness to 0, and reports a failure of that where the
        /// process runs at a higher one, after the class was set; so its answer says little, and
        /// nothing depends on it.
        pub(in crate::sandbox) fn make_idle(self) {
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            if let Err(error) = set_thread_priority_and_policy(self.0, ThreadPriority::Min, idle) {
                tracing::debug!(?error, "scheduling class of an abandoned thread");
            }
        }

        /// Puts this thread, which must be the calling one, back among all others: what it still
        /// has to do it does under locks that others wait for, and while anything spins an idle
        /// thread may hold such a lock for many seconds.
        ///
        /// Without privileges, or a limit on niceness that permits it (`RLIMIT_NICE` of 20,
        /// systemd's `LimitNICE=+0`), the system refuses, and the thread stays idle.
        pub(in crate::sandbox) fn make_ordinary(self) {
            let ordinary = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
            let priority = ThreadPriorityValue::try_from(NICENESS_0).expect("below 100");
            let priority = ThreadPriority::Crossplatform(priority);
            if let Err(error) = set_thread_priority_and_policy(self.0, priority, ordinary) {
                tracing::debug!(?error, "scheduling class of a thread that returned");
            }
        }
    }

    /// What the crate turns into a niceness of 0, of its scale from 0 to 99.
    pub(super) const NICENESS_0: u8 = 47;
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// Elsewhere an abandoned thread keeps its scheduling class.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::sandbox) struct NativeThread;

    impl NativeThread {
        pub(in crate::sandbox) fn current() -> Self {
            Self
        }

        pub(in crate::sandbox) fn make_idle(self) {}

        pub(in crate::sandbox) fn make_ordinary(self) {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use thread_priority::unix::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy,
    };
    use thread_priority::{ThreadPriority, ThreadPriorityValue};

    use super::linux::NICENESS_0;
    use super::*;

    #[test]
    fn another_thread_becomes_idle_and_this_one_does_not() {
        let (native, natives) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let other = thread::spawn(move || {
            native.send(NativeThread::current()).unwrap();
            released.recv().unwrap();
            thread_schedule_policy().unwrap()
        });
        natives.recv().unwrap().make_idle();
        release.send(()).unwrap();

        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(other.join().unwrap(), idle);
        assert_ne!(thread_schedule_policy().unwrap(), idle);
    }

    #[test]
    fn a_thread_becomes_ordinary_again_where_the_system_permits_it() {
        let policy = thread::spawn(|| {
            NativeThread::current().make_idle();
            NativeThread::current().make_ordinary();
            thread_schedule_policy().unwrap()
        });
        let policy = policy.join().unwrap();
        let [ordinary, idle] =
            [NormalThreadSchedulePolicy::Other, NormalThreadSchedulePolicy::Idle]
                .map(ThreadSchedulePolicy::Normal);
        assert!(policy == ordinary || policy == idle, "{policy:?}");

        let niceness = ThreadPriorityValue::try_from(NICENESS_0).unwrap();
        assert_eq!(ThreadPriority::Crossplatform(niceness).to_posix(ordinary), Ok(0));
    }
}
