//! The last that a program said.

use std::collections::VecDeque;

use keepsight_contract::redact_passwords;

/// The last lines of a program's standard error, within fixed space.
#[derive(Debug, Default)]
pub(crate) struct StderrTail {
    lines: VecDeque<String>,
    /// The line that has no end yet.
    current: Vec<u8>,
    /// Of the current line, the end was dropped.
    cut: bool,
    /// Passwords that it must not repeat, however it writes them down.
    secrets: Vec<String>,
}

impl StderrTail {
    /// A tail that shows none of `secrets`.
    pub(crate) fn new(secrets: &[String]) -> Self {
        Self { secrets: secrets.to_vec(), ..Self::default() }
    }

    /// Takes what was said.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // A carriage return writes over the line: it is another one.
                b'\n' | b'\r' => self.end_line(),
                _ if self.current.len() < LINE_BYTES_MAX => self.current.push(*byte),
                _ => self.cut = true,
            }
        }
    }

    /// The last lines as one, without passwords; empty where nothing was said.
    pub(crate) fn said(&mut self) -> String {
        self.end_line();
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("; ")
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.current)).into_owned();
        // A word that was cut could be half an address, with the password's beginning.
        let line = match std::mem::take(&mut self.cut) {
            true => line.rsplit_once(' ').map_or("", |(front, _)| front).to_owned(),
            false => line,
        };
        let mut line = without_addresses(&redact_passwords(line.trim()));
        for secret in &self.secrets {
            line = line.replace(secret.as_str(), "***");
        }
        if line.is_empty() || self.lines.back() == Some(&line) {
            return;
        }
        if let Some((end, _)) = line.char_indices().nth(LINE_CHARS_SHOWN) {
            line.truncate(end);
            line.push('…');
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// Without what ffmpeg's parts say of where they are in memory (`[tcp @ 0x55b582df0700]`), which
/// is elsewhere each time that it is started.
fn without_addresses(line: &str) -> String {
    let mut parts = line.split(ADDRESS);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_hexdigit());
        if rest.len() == part.len() {
            kept.push_str(ADDRESS);
        }
        kept.push_str(rest);
    }
    kept
}

const ADDRESS: &str = " @ 0x";
const LINES: usize = 4;
const LINE_CHARS_SHOWN: usize = 240;
const LINE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8], secrets: &[&str]) -> String {
        let secrets: Vec<String> = secrets.iter().map(|it| (*it).to_owned()).collect();
        let mut tail = StderrTail::new(&secrets);
        bytes.chunks(3).for_each(|part| tail.push(part));
        tail.said()
    }

    #[test]
    fn the_last_lines_stay() {
        assert_eq!(said(b"", &[]), "");
        assert_eq!(said(b"a\nb\n\n  c  \r\nd\ne", &[]), "b; c; d; e");
        assert_eq!(said(b"again\nagain\nagain\n", &[]), "again");
        assert_eq!(said(b"50 %\r60 %\r", &[]), "50 %; 60 %");
        assert_eq!(said(b"\xff\n", &[]), "\u{fffd}");
    }

    #[test]
    fn a_line_has_an_end() {
        let long = said("ä ".repeat(10_000).as_bytes(), &[]);
        assert_eq!(long.chars().count(), LINE_CHARS_SHOWN + 1);
        let endless = [&b"x "[..], &[b'a'; 100_000]].concat();
        assert_eq!(said(&endless, &[]), "x");
    }

    /// A camera that is gone for a week is one line of the log: its reason must be the same at each
    /// attempt.
    #[test]
    fn addresses_in_memory_are_left_out() {
        let first = said(b"[tcp @ 0x55b582df0700] refused\n[h264 @ 0xAb] 0x12 @ 0x\n", &[]);
        assert_eq!(first, "[tcp] refused; [h264] 0x12 @ 0x");
        assert_eq!(first, said(b"[tcp @ 0x5594b7095700] refused\n[h264 @ 0x1] 0x12 @ 0x\n", &[]));
    }

    #[test]
    fn passwords_are_not_repeated() {
        let text = b"rtsp://cam:s3cret@h/x: 401\nlogin cam with s3cret failed\n";
        let shown = said(text, &["s3cret"]);
        assert_eq!(shown, "rtsp://cam:***@h/x: 401; login cam with *** failed");
        let cut = [&[b'a'; LINE_BYTES_MAX - 12][..], b" rtsp://cam:s3cret@h/x"].concat();
        assert!(!said(&cut, &[]).contains("s3"));
    }
}
