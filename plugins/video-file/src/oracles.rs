//! What any file must keep to that is read here; `fuzz/` calls it, and so do the tests.

use std::io::Cursor;
use std::path::{Component, Path};

use crate::avi_reader::AviReader;
use crate::film::Content;
use crate::seqinfo::SeqInfo;

/// A film gives no more than it holds, comes to its end, and gives the same once more.
pub fn check_avi(input: &[u8]) {
    let (first, frames_bytes) = frames(input, input.len() as u64);
    assert!(frames_bytes <= input.len(), "{frames_bytes} bytes of frames in {}", input.len());
    let (again, _) = frames(input, input.len() as u64);
    assert_eq!(first, again);
    // A recording that grows while it is read.
    frames(input, input.len() as u64 / 2);
}

/// Numbers and sizes of all frames in two rounds of a film, and the bytes of one round.
fn frames(input: &[u8], length: u64) -> (Vec<(u64, usize)>, usize) {
    let mut seen = Vec::new();
    let path = Path::new("film.avi");
    let Ok(mut reader) = AviReader::new(Cursor::new(input), length, path) else {
        return (seen, 0);
    };
    assert!(reader.rate().is_none_or(|rate| (0.001..=1000.0).contains(&rate)));
    let mut round = |reader: &mut AviReader<_>| {
        let begun = seen.len();
        while let Ok(Some(frame)) = reader.next() {
            let (Content::Encoded(bytes) | Content::Checked { bytes, .. }) = frame.content;
            seen.push((frame.number, bytes.len()));
        }
        let round = &seen[begun..];
        assert!(round.is_sorted_by(|a, b| a.0 < b.0), "frames are numbered {round:?}");
        round.to_vec()
    };
    let first = round(&mut reader);
    reader.rewind().expect("its headers were read before");
    assert_eq!(round(&mut reader), first, "the second round is another");
    let bytes = first.iter().map(|(_, bytes)| bytes).sum();
    (seen, bytes)
}

/// A sequence's description names one folder beside it, and a rate that frames can have.
pub fn check_seqinfo(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(info) = SeqInfo::parse(&text) else { return };
    let parts: Vec<_> = Path::new(&info.folder).components().collect();
    assert!(matches!(parts[..], [Component::Normal(_)]), "{:?}", info.folder);
    assert!(info.rate.is_none_or(|rate| (0.001..=1000.0).contains(&rate)), "{:?}", info.rate);
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/");

    #[test]
    fn films_hold() {
        try_variations(format!("{SEEDS}avi"), 5_000, check_avi);
    }

    #[test]
    fn descriptions_of_sequences_hold() {
        try_variations(format!("{SEEDS}seqinfo"), 5_000, check_seqinfo);
    }
}
