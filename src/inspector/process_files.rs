//! What the system's files say of this process and machine. Nothing here fails: what a system
//! doesn't say is `None`.

use std::{fs, path::Path};

/// What `/proc/self/status` says (proc_pid_status(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessStatus {
    pub(super) resident_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
}

/// What `/proc/meminfo` says (proc_meminfo(5)), in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryInfo {
    pub(super) total_bytes: Option<u64>,
    pub(super) available_bytes: Option<u64>,
}

impl ProcessStatus {
    pub(super) fn now() -> Self {
        text(Path::new("/proc/self/status")).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let threads = field(text, "Threads:").and_then(|threads| threads.parse().ok());
        Self { resident_bytes: kib(text, "VmRSS:"), threads }
    }
}

impl MemoryInfo {
    pub(super) fn now() -> Self {
        text(Path::new("/proc/meminfo")).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let available_bytes = kib(text, "MemAvailable:");
        Self { total_bytes: kib(text, "MemTotal:"), available_bytes }
    }
}

/// Children of this process that have not ended, where the kernel keeps lists of them
/// (CONFIG_PROC_CHILDREN).
pub(super) fn children() -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    let lists: Vec<String> =
        tasks.flatten().filter_map(|task| text(&task.path().join("children"))).collect();
    if lists.is_empty() {
        return None;
    }
    Some(lists.iter().map(|list| list.split_whitespace().count() as u64).sum())
}

/// The trimmed text of a file.
pub(super) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The text behind `key` on its line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// The KiB behind `key` as bytes.
fn kib(text: &str, key: &str) -> Option<u64> {
    let kib: u64 = field(text, key)?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_files_say_is_understood() {
        let status = "Name:\tkeepsight\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        let expected = ProcessStatus { resident_bytes: Some(2 << 20), threads: Some(7) };
        assert_eq!(ProcessStatus::parse(status), expected);
        let memory = "MemTotal:  4 kB\nMemFree: 1 kB\nMemAvailable:  3 kB\n";
        let expected = MemoryInfo { total_bytes: Some(4096), available_bytes: Some(3072) };
        assert_eq!(MemoryInfo::parse(memory), expected);
        for odd in ["", "VmRSS: many kB\nThreads: -1", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(ProcessStatus::parse(odd), ProcessStatus::default(), "{odd}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_threads() {
        let status = ProcessStatus::now();
        assert!(status.resident_bytes.unwrap() > 1 << 20, "{status:?}");
        assert!(status.threads.unwrap() >= 1, "{status:?}");
        let memory = MemoryInfo::now();
        assert!(memory.total_bytes.unwrap() > memory.available_bytes.unwrap(), "{memory:?}");
    }
}
