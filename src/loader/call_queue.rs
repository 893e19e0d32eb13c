use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

/// Name of a session that calls keep: 1 to 64 letters of ASCII, digits, hyphens, underscores or
/// dots, as all names here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionName(String);

/// A session that is kept for calls to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession {
    /// Its name.
    pub name: SessionName,
    /// Since its last call ended; `None` while one runs in it.
    pub idle: Option<Duration>,
}

/// That a text is no name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session's name has 1 to 64 letters of ASCII, digits, hyphens, underscores or dots")]
pub struct NoSessionName;

/// Which call runs next on which worker, and which sessions are kept between calls.
///
/// A session belongs to the worker that opened it: its calls wait for that one, others for any.
/// Pure: time is passed in, and nothing here waits, opens or runs anything.
pub(super) struct CallQueue<J> {
    waiting: VecDeque<(Option<SessionName>, J)>,
    kept: BTreeMap<SessionName, Kept>,
}

/// A session that is kept, or about to be opened or closed.
struct Kept {
    worker: WorkerId,
    /// End of its last call.
    used: Instant,
    /// A call of it runs, or it is being opened or closed.
    busy: bool,
    /// Its generation is over.
    ended: bool,
}

/// One of a pool's workers, those that are gone included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WorkerId(pub(super) u64);

/// What a worker is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<J> {
    /// This call, in the session of that name; [`CallQueue::ran`] comes after it.
    Run(Option<SessionName>, J),
    /// Close its session of that name; [`CallQueue::closed`] comes after it.
    Close(SessionName),
    /// Nothing until then, or until something changes.
    Wait(Option<Instant>),
}

impl<J> CallQueue<J> {
    /// How many calls wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many calls wait that no worker's session holds to that worker.
    pub(super) fn free_count(&self) -> usize {
        let held = |name: &Option<SessionName>| {
            name.as_ref().is_some_and(|name| self.kept.contains_key(name))
        };
        self.waiting.iter().filter(|(name, _)| !held(name)).count()
    }

    pub(super) fn push(&mut self, session: Option<SessionName>, job: J) {
        self.waiting.push_back((session, job));
    }

    /// Everything that waits, which it does no more.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = J> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, job)| job)
    }

    /// What `worker` is to do at `now`, where a session may be idle for `idle_max`.
    ///
    /// Of one session too many, the one that is idle for longest is closed first, so that room is
    /// on its worker.
    pub(super) fn next(&mut self, worker: WorkerId, now: Instant, idle_max: Duration) -> Next<J> {
        let own = self.kept.iter().filter(|(_, kept)| kept.worker == worker && !kept.busy);
        let mut look_again = None;
        let mut over = None;
        for (name, kept) in own {
            let until = kept.used + idle_max;
            if kept.ended || (until <= now && !self.is_wanted(name)) {
                over = Some(name.clone());
                break;
            }
            if until > now {
                look_again = Some(look_again.map_or(until, |earlier: Instant| earlier.min(until)));
            }
        }
        if let Some(name) = over {
            return self.close(name);
        }
        for index in 0..self.waiting.len() {
            let session = self.waiting[index].0.clone();
            if let Some(name) = session {
                let room = self.kept.len() < SESSIONS_MAX;
                match self.kept.get_mut(&name) {
                    Some(kept) if kept.worker != worker => continue,
                    Some(kept) => kept.busy = true,
                    None if room => {
                        let kept = Kept { worker, used: now, busy: true, ended: false };
                        self.kept.insert(name, kept);
                    }
                    None => match self.longest_idle() {
                        Some((name, kept)) if kept.worker == worker => {
                            let name = name.clone();
                            return self.close(name);
                        }
                        _ => continue,
                    },
                }
            }
            let (session, job) = self.waiting.remove(index).expect("it was there just now");
            return Next::Run(session, job);
        }
        Next::Wait(look_again)
    }

    /// A call in the session `name` has run, and the session is `kept` or is no more.
    pub(super) fn ran(&mut self, name: &SessionName, kept: bool, now: Instant) {
        match self.kept.get_mut(name) {
            Some(known) if kept => (known.used, known.busy) = (now, false),
            _ => self.closed(name),
        }
    }

    /// The session `name` is no more.
    pub(super) fn closed(&mut self, name: &SessionName) {
        self.kept.remove(name);
    }

    /// A worker is gone, and its sessions with it.
    pub(super) fn worker_gone(&mut self, worker: WorkerId) {
        self.kept.retain(|_, kept| kept.worker != worker);
    }

    /// Has all sessions closed that there are now.
    pub(super) fn end_sessions(&mut self) {
        self.kept.values_mut().for_each(|kept| kept.ended = true);
    }

    /// Whether sessions are still open that are to be closed.
    pub(super) fn sessions_end(&self) -> bool {
        self.kept.values().any(|kept| kept.ended)
    }

    /// The sessions that are kept at `now`, by name.
    pub(super) fn sessions(&self, now: Instant) -> impl Iterator<Item = KeptSession> {
        self.kept.iter().map(move |(name, kept)| {
            let idle = (!kept.busy).then(|| now.saturating_duration_since(kept.used));
            KeptSession { name: name.clone(), idle }
        })
    }

    fn close(&mut self, name: SessionName) -> Next<J> {
        if let Some(kept) = self.kept.get_mut(&name) {
            kept.busy = true;
        }
        Next::Close(name)
    }

    fn longest_idle(&self) -> Option<(&SessionName, &Kept)> {
        let idle = self.kept.iter().filter(|(name, kept)| !kept.busy && !self.is_wanted(name));
        idle.min_by_key(|(_, kept)| kept.used)
    }

    /// Whether a call waits for that session.
    fn is_wanted(&self, name: &SessionName) -> bool {
        self.waiting.iter().any(|(session, _)| session.as_ref() == Some(name))
    }
}

impl<J> Default for CallQueue<J> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), kept: BTreeMap::new() }
    }
}

impl FromStr for SessionName {
    type Err = NoSessionName;

    fn from_str(text: &str) -> Result<Self, NoSessionName> {
        let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_name = !text.is_empty() && text.len() <= 64 && text.chars().all(usable);
        is_name.then(|| Self(text.to_owned())).ok_or(NoSessionName)
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sessions that calls of one instance may keep.
const SESSIONS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_MAX: Duration = Duration::from_secs(60);
    const ONE: WorkerId = WorkerId(1);
    const TWO: WorkerId = WorkerId(2);

    /// A queue and its clock. Jobs are numbers.
    struct Bench {
        queue: CallQueue<u32>,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { queue: CallQueue::default(), now: Instant::now() }
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn push(&mut self, session: &str, job: u32) {
            self.queue.push((!session.is_empty()).then(|| name(session)), job);
        }

        #[track_caller]
        fn check(&mut self, worker: WorkerId, expected: Next<u32>) {
            assert_eq!(self.queue.next(worker, self.now, IDLE_MAX), expected);
        }

        #[track_caller]
        fn check_run(&mut self, worker: WorkerId, session: &str, job: u32) {
            let session = (!session.is_empty()).then(|| name(session));
            self.check(worker, Next::Run(session, job));
        }

        /// `worker` opens the session and keeps it.
        #[track_caller]
        fn keep(&mut self, worker: WorkerId, session: &str) {
            self.push(session, 0);
            self.check_run(worker, session, 0);
            self.queue.ran(&name(session), true, self.now);
        }

        #[track_caller]
        fn check_closes(&mut self, worker: WorkerId, session: &str) {
            self.check(worker, Next::Close(name(session)));
            self.queue.closed(&name(session));
        }
    }

    fn name(text: &str) -> SessionName {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_names() {
        for text in ["a", "A-1_b.c", &"x".repeat(64)] {
            assert_eq!(text.parse().map(|name: SessionName| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a b", "ä", "a/b", "\n", &"x".repeat(65)] {
            assert_eq!(text.parse::<SessionName>(), Err(NoSessionName), "{text:?}");
        }
    }

    #[test]
    fn calls_without_a_session_go_to_any_worker_in_their_order() {
        let mut bench = Bench::new();
        (1..=3).for_each(|job| bench.push("", job));
        bench.check_run(ONE, "", 1);
        bench.check_run(TWO, "", 2);
        bench.check_run(ONE, "", 3);
        bench.check(ONE, Next::Wait(None));
    }

    #[test]
    fn a_sessions_calls_wait_for_its_worker() {
        let mut bench = Bench::new();
        bench.push("a", 1);
        bench.push("a", 2);
        bench.push("", 3);
        bench.check_run(ONE, "a", 1);
        assert_eq!(bench.queue.free_count(), 1);
        // The second one is passed over, even while the session is not open yet.
        bench.check_run(TWO, "", 3);
        bench.check(TWO, Next::Wait(None));
        bench.queue.ran(&name("a"), true, bench.now);
        bench.check(TWO, Next::Wait(None));
        bench.check_run(ONE, "a", 2);
        // What was not kept can be opened by anybody.
        bench.queue.ran(&name("a"), false, bench.now);
        bench.push("a", 4);
        bench.check_run(TWO, "a", 4);
    }

    #[test]
    fn what_is_kept_is_told_with_how_long_it_has_been_idle() {
        let mut bench = Bench::new();
        bench.keep(ONE, "b");
        bench.wait(2);
        bench.push("a", 1);
        bench.check_run(TWO, "a", 1);
        let told = |text, idle: Option<u64>| KeptSession {
            name: name(text),
            idle: idle.map(Duration::from_secs),
        };
        let sessions: Vec<_> = bench.queue.sessions(bench.now).collect();
        assert_eq!(sessions, [told("a", None), told("b", Some(2))]);
    }

    #[test]
    fn an_idle_session_is_closed_in_its_time() {
        let mut bench = Bench::new();
        bench.keep(ONE, "a");
        bench.wait(30);
        bench.keep(ONE, "b");
        bench.check(ONE, Next::Wait(Some(bench.now + Duration::from_secs(30))));
        bench.check(TWO, Next::Wait(None));
        bench.wait(29);
        bench.push("a", 1);
        bench.wait(2);
        // A call that came in time keeps it.
        bench.check_run(ONE, "a", 1);
        bench.queue.ran(&name("a"), true, bench.now);
        bench.wait(29);
        bench.check_closes(ONE, "b");
        bench.check(ONE, Next::Wait(Some(bench.now + Duration::from_secs(31))));
        bench.wait(31);
        bench.check_closes(ONE, "a");
        bench.check(ONE, Next::Wait(None));
    }

    #[test]
    fn one_too_many_takes_the_place_of_the_one_idle_for_longest() {
        let mut bench = Bench::new();
        for index in 0..SESSIONS_MAX {
            let worker = if index == 0 { TWO } else { ONE };
            bench.keep(worker, &format!("s{index}"));
            bench.wait(1);
        }
        bench.push("another", 1);
        // The oldest is the other's to close.
        bench.check(ONE, Next::Wait(Some(bench.now + Duration::from_secs(60 - 31))));
        bench.check_closes(TWO, "s0");
        bench.check_run(TWO, "another", 1);
        assert_eq!(bench.queue.kept.len(), SESSIONS_MAX);

        // One that a call waits for is not idle.
        bench.push("more", 2);
        bench.push("s1", 3);
        bench.check_closes(ONE, "s2");
        bench.check_run(ONE, "more", 2);
        bench.check_run(ONE, "s1", 3);
    }

    #[test]
    fn sessions_end_with_their_worker_and_with_their_generation() {
        let mut bench = Bench::new();
        bench.keep(ONE, "a");
        bench.keep(TWO, "b");
        bench.queue.worker_gone(ONE);
        bench.push("a", 1);
        bench.check_run(TWO, "a", 1);
        bench.queue.end_sessions();
        bench.push("b", 2);
        // It is closed, not used, whoever asks for it.
        bench.check_closes(TWO, "b");
        assert!(bench.queue.sessions_end(), "a call of the other runs");
        bench.check_run(TWO, "b", 2);
        bench.queue.ran(&name("a"), true, bench.now);
        bench.check_closes(TWO, "a");
        assert!(!bench.queue.sessions_end());
    }
}
