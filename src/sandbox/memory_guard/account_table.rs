//! The accounts: one table for the process, in static memory.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicI64, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::Thread,
};

/// An account as an allocation's mark names it: its place in the table, and above that how often
/// the place was taken before, so that marks of an earlier holder are not this one's.
pub(in crate::sandbox) type Tag = u32;

/// Marks what is nobody's: the runtime's own.
pub(super) const NOBODY: Tag = 0;
/// The account by which is found out whether anything is counted.
pub(super) const PROBE: Tag = 1;

/// Accounts at a time. A process has one for each instance and session, and one for each that
/// left something behind.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 10;
/// Places that are nobody's to take: nobody's own, and the probe's.
const RESERVED: usize = 2;

/// An account whose own is `bytes`. An instance's has its sessions in `sum` too; a session's has
/// the place of its instance's in `group`.
#[repr(align(64))]
pub(super) struct Account {
    tag: AtomicU32,
    group: AtomicU32,
    bytes: AtomicI64,
    sum: AtomicI64,
    peak: AtomicI64,
    limit: AtomicI64,
    /// The sum above which somebody is told next: the limit, or more while it is exceeded.
    alarm_above: AtomicI64,
    /// How often this account was the one that crossed it, and the sum then.
    crossings: AtomicU32,
    crossed_at: AtomicI64,
    /// Of the group: who is woken.
    watcher: Mutex<Option<Thread>>,
}

static TABLE: [Account; PLACES] = [const { Account::new() }; PLACES];
static PLACES_TAKEN: Mutex<Takings> =
    Mutex::new(Takings { places: [Place::Free; PLACES], next: RESERVED });

/// Who has which place. Taken when an account is opened or closed, never while allocating.
struct Takings {
    places: [Place; PLACES],
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Free,
    Held,
    /// Its holder is gone; what it allocated may still be there.
    Left,
}

/// Adds `delta` bytes to an account. Neither allocates nor waits.
pub(super) fn settle(tag: Tag, delta: i64) {
    let account = account(tag);
    if account.tag.load(Relaxed) != tag {
        return; // what it was marked for is forgotten
    }
    let group = &TABLE[account.group.load(Relaxed) as usize % PLACES];
    account.bytes.fetch_add(delta, Relaxed);
    let sum = group.sum.fetch_add(delta, Relaxed).wrapping_add(delta);
    let alarm_above = group.alarm_above.load(Relaxed);
    if delta > 0 {
        if sum > group.peak.load(Relaxed) {
            group.peak.fetch_max(sum, Relaxed);
        }
        if sum > alarm_above {
            account.cross(group, sum, alarm_above);
        }
    } else {
        let limit = group.limit.load(Relaxed);
        if alarm_above != limit && sum <= limit {
            group.alarm_above.store(limit, Relaxed);
        }
    }
}

/// The account in the place that a tag names, whoever has it now.
pub(super) fn account(tag: Tag) -> &'static Account {
    &TABLE[tag as usize % PLACES]
}

/// Takes a place: for an instance with a limit and a watcher, or for a session of the instance
/// `group`. `None` when every place is held.
pub(super) fn open(group: Option<Tag>, limit: i64, watcher: Option<Thread>) -> Option<Tag> {
    let mut takings = takings();
    let place = takings.find_free().or_else(|| takings.forget_one())?;
    takings.places[place] = Place::Held;
    takings.next = if place + 1 == PLACES { RESERVED } else { place + 1 };

    let account = &TABLE[place];
    let turn = (account.tag.load(Relaxed) >> PLACE_BITS).wrapping_add(1);
    let tag = turn << PLACE_BITS | place as Tag;
    let group = group.map_or(place, |group| group as usize % PLACES);
    account.group.store(group as u32, Relaxed);
    for counter in [&account.bytes, &account.sum, &account.peak, &account.crossed_at] {
        counter.store(0, Relaxed);
    }
    account.limit.store(limit, Relaxed);
    account.alarm_above.store(limit, Relaxed);
    account.crossings.store(0, Relaxed);
    *account.watcher() = watcher;
    account.tag.store(tag, Release);
    Some(tag)
}

/// The holder goes. The place is free again once everything it allocated is freed.
pub(super) fn close(tag: Tag) {
    takings().places[tag as usize % PLACES] = Place::Left;
}

/// How many accounts are held, and how many wait for what they left behind.
pub(super) fn places_in_use() -> (usize, usize) {
    let takings = takings();
    let left = |place: &usize| takings.places[*place] == Place::Left && !TABLE[*place].is_empty();
    let held = takings.places.iter().filter(|place| **place == Place::Held).count();
    (held, (RESERVED..PLACES).filter(left).count())
}

impl Account {
    const fn new() -> Self {
        Self {
            tag: AtomicU32::new(0),
            group: AtomicU32::new(0),
            bytes: AtomicI64::new(0),
            sum: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            limit: AtomicI64::new(0),
            alarm_above: AtomicI64::new(0),
            crossings: AtomicU32::new(0),
            crossed_at: AtomicI64::new(0),
            watcher: Mutex::new(None),
        }
    }

    /// The account of the instance; itself, for an instance's.
    pub(super) fn group(&self) -> &'static Self {
        &TABLE[self.group.load(Relaxed) as usize % PLACES]
    }

    /// What this account alone has, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        clamp(self.bytes.load(Relaxed))
    }

    /// What this instance and its sessions have, in bytes.
    pub(super) fn sum(&self) -> u64 {
        clamp(self.sum.load(Relaxed))
    }

    /// The most that they ever had, in bytes.
    pub(super) fn peak(&self) -> u64 {
        clamp(self.peak.load(Relaxed))
    }

    /// What they may have, in bytes.
    pub(super) fn limit(&self) -> Option<u64> {
        let limit = self.limit.load(Relaxed);
        (limit != UNLIMITED).then(|| clamp(limit))
    }

    /// Sets what they may have, in bytes; called while the account is held.
    pub(super) fn set_limit(&self, limit: i64) {
        self.limit.store(limit, Relaxed);
        self.alarm_above.store(limit, Relaxed);
    }

    /// How often this account was the one that crossed the limit.
    pub(super) fn crossings(&self) -> u32 {
        self.crossings.load(Acquire)
    }

    /// What instance and sessions had when this account crossed the limit, in bytes.
    pub(super) fn crossed_at(&self) -> u64 {
        clamp(self.crossed_at.load(Relaxed))
    }

    /// Notes that this account brought the sum above what calls for an alarm. The next is due an
    /// eighth of the limit further up: others are not blamed for what they do until this one is
    /// gone, and growth without end calls again and again.
    #[cold]
    fn cross(&self, group: &Self, sum: i64, alarm_above: i64) {
        let step = (group.limit.load(Relaxed) / 8).max(ALARM_STEP_BYTES);
        let next = sum.saturating_add(step);
        if group.alarm_above.compare_exchange(alarm_above, next, Relaxed, Relaxed).is_err() {
            return; // another thread crossed it at the same moment
        }
        self.crossed_at.store(sum, Relaxed);
        self.crossings.fetch_add(1, Release);
        // Held by others only while the account is opened.
        if let Ok(watcher) = group.watcher.try_lock()
            && let Some(watcher) = &*watcher
        {
            watcher.unpark();
        }
    }

    fn is_empty(&self) -> bool {
        // A group's sum is settled last, so that it says whether anybody still counts on it.
        self.bytes.load(Relaxed) == 0 && self.sum.load(Relaxed) == 0
    }

    fn watcher(&self) -> MutexGuard<'_, Option<Thread>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Takings {
    fn find_free(&self) -> Option<usize> {
        let is_free = |place: &usize| match self.places[*place] {
            Place::Free => true,
            Place::Held => false,
            Place::Left => TABLE[*place].is_empty(),
        };
        (self.next..PLACES).chain(RESERVED..self.next).find(is_free)
    }

    /// Frees a place whose holder is gone and left something behind, with those of its sessions
    /// if it is an instance's. What a session left stays in its instance's sum.
    fn forget_one(&mut self) -> Option<usize> {
        let is_left = |place: &usize| self.places[*place] == Place::Left;
        let place = (self.next..PLACES).chain(RESERVED..self.next).find(is_left)?;
        for (member, account) in TABLE.iter().enumerate().skip(RESERVED) {
            let is_its_own = member == place || account.group.load(Relaxed) == place as u32;
            if is_its_own && self.places[member] == Place::Left {
                // Marks of now are nobody's from here on.
                account.tag.fetch_add(1 << PLACE_BITS, Relaxed);
                account.bytes.store(0, Relaxed);
                account.sum.store(0, Relaxed);
                self.places[member] = Place::Free;
            }
        }
        Some(place)
    }
}

fn takings() -> MutexGuard<'static, Takings> {
    PLACES_TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clamp(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

/// A limit that nothing crosses.
pub(super) const UNLIMITED: i64 = i64::MAX;
const ALARM_STEP_BYTES: i64 = 1 << 20;
