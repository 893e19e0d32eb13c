use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A process that has a device node open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// The name of the program, as the kernel keeps it (15 bytes at most).
    pub(crate) program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.program, self.pid)
    }
}

/// The processes that have `node` open, by number, this one included.
///
/// Best effort: the files of another user's processes are hidden from all but root, so an empty
/// list does not say that nobody holds it.
pub(crate) fn holders(node: &Path) -> Vec<Holder> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let node = fs::canonicalize(node).unwrap_or_else(|_| node.to_path_buf());
    let mut holders: Vec<_> = processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            holds(&entry.path().join("fd"), &node).then(|| Holder {
                pid,
                program: fs::read_to_string(entry.path().join("comm"))
                    .map_or_else(|_| "a program".to_owned(), |name| name.trim().to_owned()),
            })
        })
        .collect();
    holders.sort();
    holders
}

/// The holders as one text for a person; `None` where none is known.
pub(crate) fn holders_text(node: &Path) -> Option<String> {
    let texts: Vec<_> = holders(node)
        .into_iter()
        .map(|holder| {
            if holder.pid == std::process::id() {
                format!("this process ({})", holder.pid)
            } else {
                holder.to_string()
            }
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn holds(descriptors: &Path, node: &PathBuf) -> bool {
    fs::read_dir(descriptors).is_ok_and(|entries| {
        entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == *node))
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Read, process};

    use super::*;

    #[test]
    fn an_open_file_is_held_by_this_process() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = holders(file.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, process::id());
        let text = holders_text(file.path()).unwrap();
        assert_eq!(text, format!("this process ({})", process::id()));
    }

    #[test]
    fn another_process_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.into_temp_path();
        // The child says when it has the file; it ends when its standard input does.
        let mut child = process::Command::new("sh")
            .args(["-c", "exec 3<\"$1\"; echo ready; exec cat", "sh"])
            .arg(&path)
            .stdin(process::Stdio::piped())
            .stdout(process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        // `exec cat` may be still to come, so the program is the one or the other.
        let found = holders(&path);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, child.id());
        assert!(["sh", "cat", "dash", "bash"].contains(&found[0].program.as_str()), "{found:?}");
    }

    #[test]
    fn nobody_holds_a_closed_file() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        assert_eq!(holders(&path), []);
        assert_eq!(holders_text(&path), None);
    }
}
