//! Counts what each plugin allocates, and says when that is too much.
//!
//! [`CountingAllocator`] marks every allocation with its owner: the account of the scope in which
//! the thread was. Whoever frees it, on whichever thread and however late, frees it from that
//! account. Accounts stand in a table of fixed size; a [`MemoryAccount`] holds one of them.
//! Sessions have accounts of their own below their instance's, and the instance's limit is for
//! the sum.
//!
//! Promised: nothing is refused when the limit is crossed, since an allocation that fails ends
//! the process. Whose account crossed it is cancelled by the watchdog instead, and given up if it
//! doesn't return.
//!
//! Not promised: a thread settles its account when it leaves the scope and every
//! [32 KiB](meter::SETTLE_BYTES), so sums may be off by as much for each thread that works at the
//! moment. Bytes are those asked for, without what the system's allocator adds. GPU memory, memory
//! maps and what C code takes by `malloc` are not measured, and a binary without the allocator
//! measures nothing.

mod account_table;
mod counting_allocator;
mod memory_account;
mod memory_watch;
mod meter;

pub use counting_allocator::CountingAllocator;
pub use memory_account::{MemoryAccount, MemoryUse};
pub(super) use memory_watch::{Crossing, MemoryWatch};
pub(super) use meter::{Charge, charge, uncharged};
