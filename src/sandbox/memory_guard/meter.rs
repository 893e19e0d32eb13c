//! What the thread's current account has taken since it was last settled.

use std::{cell::Cell, hint::black_box, marker::PhantomData, sync::LazyLock};

use super::account_table::{self, NOBODY, PROBE, Tag};

/// How much a thread may take, or give back, before it settles that with its account, in bytes.
pub(super) const SETTLE_BYTES: i64 = 32 * 1024;

/// While it lives, what this thread allocates is charged to an account. It stays on its thread.
#[derive(Debug)]
pub(in crate::sandbox) struct Charge {
    before: Tag,
    _stays_on_its_thread: PhantomData<*const ()>,
}

/// Charges to the account of `tag` until the guard is dropped.
#[inline]
pub(in crate::sandbox) fn charge(tag: Tag) -> Charge {
    Charge { before: switch_to(tag), _stays_on_its_thread: PhantomData }
}

/// Charges to nobody until the guard is dropped: what follows is the runtime's own.
#[inline]
pub(in crate::sandbox) fn uncharged() -> Charge {
    charge(NOBODY)
}

impl Drop for Charge {
    #[inline]
    fn drop(&mut self) {
        switch_to(self.before);
    }
}

struct Meter {
    tag: Cell<Tag>,
    pending: Cell<i64>,
}

thread_local! {
    // Made by nobody and destroyed by nobody, so it can be used as long as the thread allocates.
    static METER: Meter = const { Meter { tag: Cell::new(NOBODY), pending: Cell::new(0) } };
}

/// The allocator made a block of `size` bytes; the mark it is to have.
#[inline]
pub(super) fn allocated(size: usize) -> Tag {
    METER.with(|meter| {
        let tag = meter.tag.get();
        if tag != NOBODY {
            let pending = meter.pending.get().wrapping_add(size as i64);
            meter.pending.set(pending);
            if pending > SETTLE_BYTES {
                settle(meter);
            }
        }
        tag
    })
}

/// The allocator frees a block of `size` bytes that has this mark.
#[inline]
pub(super) fn freed(owner: Tag, size: usize) {
    if owner == NOBODY {
        return;
    }
    METER.with(|meter| {
        if meter.tag.get() != owner {
            return account_table::settle(owner, -(size as i64));
        }
        let pending = meter.pending.get().wrapping_sub(size as i64);
        meter.pending.set(pending);
        if pending < -SETTLE_BYTES {
            settle(meter);
        }
    });
}

/// Whether this binary's allocator counts.
pub(super) fn is_measuring() -> bool {
    static MEASURING: LazyLock<bool> = LazyLock::new(|| {
        let _charge = charge(PROBE);
        let block = black_box(Box::new(0_u64));
        let counted = METER.with(|meter| meter.pending.get() != 0);
        drop(block);
        counted
    });
    *MEASURING
}

#[inline]
fn switch_to(tag: Tag) -> Tag {
    METER.with(|meter| {
        if meter.pending.get() != 0 {
            settle(meter);
        }
        meter.tag.replace(tag)
    })
}

#[cold]
fn settle(meter: &Meter) {
    account_table::settle(meter.tag.get(), meter.pending.take());
}
