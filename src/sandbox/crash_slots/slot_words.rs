//! How a slot is written, and read again by another process.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};

use crate::sandbox::{Phase, SandboxScope};

/// Who had not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupant {
    /// The instance, `source:NAME` or a probe; cut at 64 bytes.
    pub instance: String,
    /// The stream, where it was one's; cut at 32 bytes.
    pub stream: Option<String>,
    /// The instance's generation.
    pub generation: u64,
    /// What ran.
    pub phase: Phase,
}

/// Words of a slot: what runs (the phase's position plus one; 0 for nothing), the generation,
/// both names' lengths, the instance's name, the stream's.
pub(super) const SLOT_WORDS: usize = 3 + INSTANCE_WORDS + STREAM_WORDS;
const INSTANCE_WORDS: usize = 8;
const STREAM_WORDS: usize = 4;

/// Says whose code will run. Nothing runs meanwhile.
pub(super) fn describe(slot: &[AtomicU64], scope: &SandboxScope) {
    let instance = cut(scope.instance(), INSTANCE_WORDS);
    let stream = scope.stream().map_or("", |stream| cut(stream, STREAM_WORDS));
    slot[1].store(scope.generation(), Relaxed);
    slot[2].store(instance.len() as u64 | (stream.len() as u64) << 8, Relaxed);
    write_text(&slot[3..3 + INSTANCE_WORDS], instance);
    write_text(&slot[3 + INSTANCE_WORDS..SLOT_WORDS], stream);
}

/// Says what runs now.
#[inline]
pub(super) fn set_running(slot: &[AtomicU64], running: u64) {
    // Behind the description for whoever reads the file: a process that died wrote in this order.
    slot[0].store(running, Release);
}

/// The word for a phase.
#[inline]
pub(super) fn running(phase: Phase) -> u64 {
    phase as u64 + 1
}

/// Who is in a slot that another process left, if that makes sense.
pub(super) fn read(slot: &[u64]) -> Option<Occupant> {
    let phase = *Phase::ALL.get(usize::try_from(slot[0].checked_sub(1)?).ok()?)?;
    let instance = read_text(&slot[3..3 + INSTANCE_WORDS], (slot[2] & 0xff) as usize)?;
    let stream = read_text(&slot[3 + INSTANCE_WORDS..SLOT_WORDS], (slot[2] >> 8) as usize)?;
    let stream = (!stream.is_empty()).then_some(stream);
    Some(Occupant { instance, stream, generation: slot[1], phase })
}

fn cut(text: &str, words: usize) -> &str {
    &text[..text.floor_char_boundary(words * 8)]
}

fn write_text(words: &[AtomicU64], text: &str) {
    let mut bytes = text.as_bytes().chunks(8);
    for word in words {
        let mut eight = [0; 8];
        if let Some(chunk) = bytes.next() {
            eight[..chunk.len()].copy_from_slice(chunk);
        }
        word.store(u64::from_ne_bytes(eight), Relaxed);
    }
}

fn read_text(words: &[u64], length: usize) -> Option<String> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    if length > bytes.len() {
        return None;
    }
    bytes.truncate(length);
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(instance: &str, stream: Option<&str>, expected: (&str, Option<&str>)) {
        let slot: Vec<AtomicU64> = (0..SLOT_WORDS).map(|_| AtomicU64::new(7)).collect();
        describe(&slot, &SandboxScope::new(instance, stream.map(Into::into), 3));
        for phase in Phase::ALL {
            set_running(&slot, running(phase));
            let left: Vec<u64> = slot.iter().map(|word| word.load(Relaxed)).collect();
            let occupant = Occupant {
                instance: expected.0.to_owned(),
                stream: expected.1.map(str::to_owned),
                generation: 3,
                phase,
            };
            assert_eq!(read(&left), Some(occupant));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        check("tracker", None, ("tracker", None));
        check("tracker", Some("door"), ("tracker", Some("door")));
        check("12345678", Some("x"), ("12345678", Some("x")));
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = "ü".repeat(100);
        let odd = format!("x{long}");
        check(&long, Some(&long), (&"ü".repeat(32), Some(&"ü".repeat(16))));
        check(&odd, Some(&odd), (&odd[..63], Some(&odd[..31])));
    }

    #[test]
    fn what_makes_no_sense_is_nobody() {
        let mut slot = [0; SLOT_WORDS];
        assert_eq!(read(&slot), None, "nothing ran");
        slot[0] = 1;
        assert!(read(&slot).is_some());
        slot[2] = 65;
        assert_eq!(read(&slot), None, "a length beyond the words");
        slot[2] = 1;
        slot[3] = 0xff;
        assert_eq!(read(&slot), None, "no text");
        slot[0] = u64::MAX;
        assert_eq!(read(&slot), None, "no phase");
    }
}
