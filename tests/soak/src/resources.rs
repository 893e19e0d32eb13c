//! What the process holds, and whether that grows.

use std::{
    fs,
    time::{Duration, Instant},
};

use keepsight::{api::Backend, runtime::Runtime, sandbox::MemoryAccount};

use crate::ledger::Ledger;

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resources {
    resident_kib: u64,
    threads: u64,
    descriptors: u64,
    /// What plugins and their sessions have, as counted.
    counted_kib: u64,
    /// Memory accounts, held or not yet empty.
    accounts: u64,
}

/// Looks again and again.
pub(crate) struct Sampler {
    begun: Instant,
    length: Duration,
    samples: Vec<Resources>,
}

impl Resources {
    pub(crate) fn now() -> Self {
        let entries = |path| fs::read_dir(path).map_or(0, |folder| folder.count() as u64);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().split(' ').next()?.parse().ok());
        let (held, unheld) = MemoryAccount::count();
        Self {
            resident_kib: resident.unwrap_or(0),
            threads: entries("/proc/self/task"),
            // One of them is the folder itself.
            descriptors: entries("/proc/self/fd").saturating_sub(1),
            counted_kib: 0,
            accounts: (held + unheld) as u64,
        }
    }

    /// What is held once threads and descriptors are as `before`, or `limit` is over.
    pub(crate) fn settled(before: &Self, limit: Duration) -> Self {
        let end = Instant::now() + limit;
        loop {
            let now = Self::now();
            let settled = now.threads <= before.threads && now.descriptors <= before.descriptors;
            if settled || Instant::now() > end {
                return now;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Sampler {
    pub(crate) fn new(length: Duration) -> Self {
        // All the room that will be needed, so that taking samples is no growth.
        let room = length.as_millis() as usize / 200 + 64;
        Self { begun: Instant::now(), length, samples: Vec::with_capacity(room) }
    }

    pub(crate) fn take(&mut self, runtime: &Runtime) {
        let plugins = runtime.metrics().plugins;
        let counted: u64 = plugins.iter().filter_map(|plugin| Some(plugin.memory?.bytes)).sum();
        if self.samples.len() < self.samples.capacity() {
            self.samples.push(Resources { counted_kib: counted >> 10, ..Resources::now() });
        }
    }

    /// Says what was held in each quarter, and notes what grew. The first quarter warms up. Of
    /// each other one the lower quartile counts: what is always held, not what a fault takes for
    /// a moment.
    pub(crate) fn judge(&self, before: &Resources, after: &Resources, ledger: &Ledger) {
        println!("samples: {} in {:.1} min", self.samples.len(), {
            self.begun.elapsed().as_secs_f64() / 60.0
        });
        // What glibc keeps of freed memory wanders; over a long run it must not climb.
        let minutes = self.length.as_secs_f64() / 60.0;
        let resident = (4096.0 + 64.0 * minutes) as u64;
        // A run of a few minutes is all warming up, so it only shows a torrent.
        let (resident, few) = if minutes < 4.0 { (32 << 10, 40) } else { (resident, 12) };
        let rows: [Row; 5] = [
            ("resident KiB", |held| held.resident_kib, resident),
            ("counted KiB", |held| held.counted_kib, 1024),
            ("accounts", |held| held.accounts, few),
            ("threads", |held| held.threads, 6),
            ("descriptors", |held| held.descriptors, 6),
        ];
        println!(
            "{:14} {:>8} | lower quartile in each quarter {:>15} | highest | after | bound",
            "", "before", ""
        );
        for (name, of, bound) in rows {
            let quarters = [0, 1, 2, 3].map(|number| self.quartile(number, of));
            let highest = self.samples.iter().map(of).max().unwrap_or(0);
            println!(
                "{name:14} {:>8} | {:>9} {:>9} {:>9} {:>9} {:>6} | {highest:>7} | {:>5} | +{bound}",
                of(before),
                quarters[0],
                quarters[1],
                quarters[2],
                quarters[3],
                "",
                of(after)
            );
            let [_, second, _, last] = quarters;
            if last > second + bound {
                ledger.wrong(format!("{name} grew from {second} to {last}, more than {bound}"));
            }
        }
        if after.threads > before.threads || after.descriptors > before.descriptors {
            println!("left: threads {:?}, descriptors {:?}", thread_names(), descriptor_names());
        }
        for (name, before, after) in [
            ("threads", before.threads, after.threads),
            ("descriptors", before.descriptors, after.descriptors),
            // What the standard library made once while a plugin ran stays with that one.
            ("memory accounts", before.accounts + 8, after.accounts),
        ] {
            if after > before {
                ledger.wrong(format!("{after} {name} at the end, {before} before"));
            }
        }
    }

    fn quartile(&self, quarter: usize, of: fn(&Resources) -> u64) -> u64 {
        let quarter_length = self.samples.len() / 4;
        let from = quarter * quarter_length;
        let mut values: Vec<u64> =
            self.samples[from..from + quarter_length].iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 4).copied().unwrap_or(0)
    }
}

fn thread_names() -> Vec<String> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let names =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

fn descriptor_names() -> Vec<String> {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let targets = open.flatten().filter_map(|open| fs::read_link(open.path()).ok());
    targets.map(|target| target.display().to_string()).collect()
}

/// A name, what is counted, and how much more of it the last quarter may have than the second.
type Row = (&'static str, fn(&Resources) -> u64, u64);
