use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::Thread,
};

use keepsight_contract::MemoryMeter;

use super::{
    account_table::{self, Account, Tag, UNLIMITED},
    meter,
};

/// Holds an account to which a [`SandboxScope`](crate::sandbox::SandboxScope) charges. Cloning
/// shares it.
#[derive(Clone)]
pub struct MemoryAccount(Arc<Held>);

/// What an instance and its sessions have, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Allocated and not freed, in bytes.
    pub bytes: u64,
    /// The most it ever was, in bytes.
    pub peak: u64,
    /// The most it may be, in bytes; `None` for no limit.
    pub limit: Option<u64>,
}

struct Held {
    tag: Tag,
    /// A session's: its instance's account, which stays for as long.
    _instance: Option<MemoryAccount>,
}

impl MemoryAccount {
    /// An account for an instance and its sessions, which together may have `limit` bytes;
    /// `watcher` is woken when they have more. `None` where the binary's allocator counts nothing,
    /// or a thousand accounts are held already.
    pub(in crate::sandbox) fn open(limit: Option<u64>, watcher: Thread) -> Option<Self> {
        if !meter::is_measuring() {
            return None;
        }
        match account_table::open(None, signed(limit), Some(watcher)) {
            Some(tag) => Some(Self(Arc::new(Held { tag, _instance: None }))),
            None => {
                note_full_table();
                None
            }
        }
    }

    /// An account for one session of this instance; the instance's own where no more can be had.
    #[must_use]
    pub fn open_session(&self) -> Self {
        match account_table::open(Some(self.tag()), UNLIMITED, None) {
            Some(tag) => Self(Arc::new(Held { tag, _instance: Some(self.clone()) })),
            None => {
                note_full_table();
                self.clone()
            }
        }
    }

    /// Sets what the instance and its sessions may have together from now on, in bytes. What they
    /// have already counts when they next take more.
    pub fn set_limit(&self, limit: Option<u64>) {
        self.0.account().group().set_limit(signed(limit));
    }

    /// What this account alone has now, in bytes: the instance's without its sessions, or one
    /// session's.
    #[must_use]
    pub fn own_bytes(&self) -> u64 {
        self.0.account().bytes()
    }

    /// What the instance and its sessions have together.
    #[must_use]
    pub fn instance_use(&self) -> MemoryUse {
        let group = self.0.account().group();
        MemoryUse { bytes: group.sum(), peak: group.peak(), limit: group.limit() }
    }

    /// How many accounts of this process are held, and how many are not but still own memory.
    #[must_use]
    pub fn count() -> (usize, usize) {
        account_table::places_in_use()
    }

    pub(in crate::sandbox) fn tag(&self) -> Tag {
        self.0.tag
    }

    pub(in crate::sandbox) fn meter(&self) -> Arc<dyn MemoryMeter> {
        self.0.clone()
    }
}

impl Held {
    fn account(&self) -> &'static Account {
        account_table::account(self.tag)
    }
}

impl MemoryMeter for Held {
    fn memory_left(&self) -> Option<u64> {
        let group = self.account().group();
        group.limit().map(|limit| limit.saturating_sub(group.sum()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        account_table::close(self.tag);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAccount").field("bytes", &self.account().bytes()).finish()
    }
}

impl fmt::Debug for MemoryAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn signed(limit: Option<u64>) -> i64 {
    limit.map_or(UNLIMITED, |limit| i64::try_from(limit).unwrap_or(UNLIMITED))
}

/// Logs it at powers of two, since it may happen at every call.
#[cold]
fn note_full_table() {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let times = TIMES.fetch_add(1, Relaxed) + 1;
    if times.is_power_of_two() {
        tracing::warn!(times, "no account is left to charge memory to");
    }
}
