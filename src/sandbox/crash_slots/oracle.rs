//! Whether whatever another process left is read without harm; for fuzzing and for tests.

use super::{crash_file, slot_words::SLOT_WORDS};

/// Reads `bytes` as the first slots of the file that another process left, repeated.
///
/// # Panics
/// Where an occupant has a name that no slot can hold, or there are more of them than slots.
pub fn check_crash_slots(bytes: &[u8]) {
    let mut as_it_is = bytes;
    crash_file::read(&mut as_it_is).expect("memory can be read");

    let slots: Vec<u8> = bytes.iter().copied().cycle().take(crash_file::SLOTS_WORDS * 8).collect();
    let file = [&crash_file::header()[..], &slots].concat();
    let traces = crash_file::read(&mut &file[..]).expect("memory can be read");
    assert!(!traces.machine_restarted);
    assert!(traces.occupants.len() <= crash_file::SLOTS);
    for occupant in &traces.occupants {
        let names = occupant.instance.len() + occupant.stream.as_ref().map_or(0, String::len);
        assert!(names <= SLOT_WORDS * 8, "{occupant:?}");
        assert_ne!(occupant.stream.as_deref(), Some(""), "{occupant:?}");
    }
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    #[test]
    fn any_file_is_read() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/crash_slots");
        try_variations(seeds, 300, check_crash_slots);
    }
}
