use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

/// Calls `oracle` with each file in `folder`, in the names' order, and then with `count` inputs
/// made from them: bytes changed, cut out, doubled, or taken over from another file. They are
/// the same each time.
///
/// For whatever reads bytes from outside; the oracle panics where something is wrong, and the
/// input at fault is then printed, as far as it is short. A fuzzer that watches which code runs
/// goes much deeper and takes much longer; it can call the same oracle.
///
/// # Panics
/// When the folder can't be read or has no files, and when the oracle does.
#[track_caller]
pub fn try_variations(folder: impl AsRef<Path>, count: u32, oracle: impl Fn(&[u8])) {
    let folder = folder.as_ref();
    let seeds = seeds(folder);
    assert!(!seeds.is_empty(), "{} has no files", folder.display());
    for (path, bytes) in &seeds {
        let _witness = Witness { what: path.display().to_string(), input: bytes };
        oracle(bytes);
    }
    let mut dice = Dice(0x6b65_6570_7369_6768);
    for number in 0..count {
        let input = variation(&seeds, &mut dice);
        let _witness = Witness { what: format!("variation {number}"), input: &input };
        oracle(&input);
    }
}

fn seeds(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder was opened").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            (path, bytes)
        })
        .collect()
}

fn variation(seeds: &[(PathBuf, Vec<u8>)], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].1.clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let length = dice.below(17).min(bytes.len() - at);
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => {
                bytes[at] = ODD_BYTES[dice.below(ODD_BYTES.len())];
            }
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let doubled = bytes[at..at + length].to_vec();
                bytes.splice(at..at, doubled);
            }
            4 => bytes.truncate(at),
            5 => bytes[at..at + length].fill(ODD_BYTES[dice.below(ODD_BYTES.len())]),
            _ => {
                let other = &seeds[dice.below(seeds.len())].1;
                let from = dice.below(other.len() + 1);
                let taken = &other[from..other.len().min(from + 64)];
                bytes.splice(at..at + length, taken.iter().copied());
            }
        }
    }
    bytes
}

/// Prints the input at which its thread panics.
struct Witness<'a> {
    what: String,
    input: &'a [u8],
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let shown = &self.input[..self.input.len().min(SHOWN_BYTES_MAX)];
            eprintln!(
                "at {}, {} bytes: b\"{}\"",
                self.what,
                self.input.len(),
                shown.escape_ascii()
            );
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Dice(u64);

impl Dice {
    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed % bound as u64) as usize
    }
}

/// Ends of ranges, and what separates things in texts.
const ODD_BYTES: &[u8] = b"\x00\x01\x7f\x80\xff\"'[]{}<>(),.:;=?&@/\\-+09aZ \t\r\n";
const SHOWN_BYTES_MAX: usize = 2048;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/units");

    #[test]
    fn seeds_come_as_they_are_and_then_others_always_the_same() {
        let inputs = || {
            let inputs = RefCell::new(Vec::new());
            try_variations(FOLDER, 200, |input| inputs.borrow_mut().push(input.to_vec()));
            inputs.into_inner()
        };
        let (first, second) = (inputs(), inputs());
        assert_eq!(first, second);
        let seeds: Vec<Vec<u8>> = seeds(Path::new(FOLDER)).into_iter().map(|seed| seed.1).collect();
        let (as_they_are, others) = first.split_at(seeds.len());
        assert_eq!(as_they_are, seeds);
        let changed = others.iter().filter(|input| !seeds.contains(input)).count();
        assert!(changed > 100, "{changed} of {} differ", others.len());
    }

    #[test]
    fn an_oracle_that_panics_is_heard() {
        let refused = |input: &[u8]| assert!(input.is_empty());
        assert!(std::panic::catch_unwind(|| try_variations(FOLDER, 0, refused)).is_err());
    }
}
