use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::{
    MemoryAccount,
    account_table::{self, Account, NOBODY, Tag},
};

/// Whether the call that a worker runs has crossed its instance's limit; the worker says what it
/// charges to, the watchdog looks.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct MemoryWatch {
    tag: AtomicU32,
    /// Crossings of the account, and of its instance's, when the call began.
    own_before: AtomicU32,
    instance_before: AtomicU32,
    told: AtomicBool,
}

/// A limit and what there was instead.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Crossing {
    /// In bytes.
    pub(in crate::sandbox) limit: u64,
    /// In bytes.
    pub(in crate::sandbox) used: u64,
}

impl MemoryWatch {
    /// Watches this account from now on. The worker holds it for as long.
    pub(in crate::sandbox) fn set(&self, account: Option<&MemoryAccount>) {
        self.tag.store(account.map_or(NOBODY, MemoryAccount::tag), Relaxed);
    }

    /// What the worker charges to.
    pub(in crate::sandbox) fn tag(&self) -> Tag {
        self.tag.load(Relaxed)
    }

    /// A call begins, on the worker's thread.
    pub(in crate::sandbox) fn begin(&self) {
        if let Some(account) = self.account() {
            self.own_before.store(account.crossings(), Relaxed);
            self.instance_before.store(account.group().crossings(), Relaxed);
        }
        self.told.store(false, Relaxed);
    }

    /// Whether the instance has more than its limit without any session, so that no call could
    /// do anything about it.
    pub(in crate::sandbox) fn hopeless(&self) -> Option<Crossing> {
        let instance = self.account()?.group();
        let (limit, used) = (instance.limit()?, instance.bytes());
        (used > limit).then_some(Crossing { limit, used })
    }

    /// Whether the running call's session crossed the limit since the call began, or its
    /// instance did by itself.
    pub(in crate::sandbox) fn crossing(&self) -> Option<Crossing> {
        let account = self.account()?;
        let instance = account.group();
        let crossed = if account.crossings() != self.own_before.load(Relaxed) {
            account
        } else if instance.crossings() != self.instance_before.load(Relaxed) {
            instance
        } else {
            return None;
        };
        Some(Crossing { limit: instance.limit()?, used: crossed.crossed_at() })
    }

    /// Whether that is so, and the call hasn't been told yet.
    pub(in crate::sandbox) fn is_alarming(&self) -> bool {
        !self.was_told() && self.crossing().is_some()
    }

    /// Notes that the running call was told.
    pub(in crate::sandbox) fn tell(&self) {
        self.told.store(true, Relaxed);
    }

    /// Whether the running call was told.
    pub(in crate::sandbox) fn was_told(&self) -> bool {
        self.told.load(Relaxed)
    }

    fn account(&self) -> Option<&'static Account> {
        let tag = self.tag();
        (tag != NOBODY).then(|| account_table::account(tag))
    }
}
