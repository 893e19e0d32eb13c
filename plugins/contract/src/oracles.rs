//! What any text must keep to that is read here; `fuzz/` calls it, and so do the tests.

use std::str::FromStr;

use crate::{Bytes, FrameSize, Seconds, SourceUri};

/// A source's URI that can be read reads the same once it was written, and never shows a
/// password.
pub fn check_source_uri(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(uri) = text.parse::<SourceUri>() {
        let written = uri.to_string();
        assert_eq!(written.parse().as_ref(), Ok(&uri), "{text:?} was written as {written:?}");
        let shown: SourceUri = uri.redacted().parse().expect("a shown URI is one");
        assert_eq!(shown.scheme(), uri.scheme());
        assert_eq!(shown.redacted(), shown.to_string(), "{text:?} is shown in two ways");
    }
    // Whatever a password holds, but for what looks like another address, it is one.
    if text.contains("://") {
        return;
    }
    let secret = format!("rtsp://cam:{text}Tr0ub4dor{text}@192.0.2.40/stream2");
    let uri: SourceUri = secret.parse().expect("its scheme is in front");
    let shown = format!("{uri:?}");
    assert!(!shown.contains("Tr0ub4dor"), "{secret:?} is shown as {shown:?}");
}

/// Times, sizes of memory and sizes of pictures: what was written reads the same.
pub fn check_units(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(size) = text.parse::<FrameSize>() {
        assert_eq!(FrameSize::from_str(&size.to_string()).as_ref(), Ok(&size), "{text:?}");
    }
    if let Ok(Seconds(time)) = text.parse() {
        let milliseconds = format!("{}ms", time.as_secs_f64() * 1e3);
        let Seconds(again) = milliseconds.parse().expect("it was a time");
        let difference = again.abs_diff(time).as_secs_f64();
        assert!(difference <= 1e-6 + time.as_secs_f64() * 1e-9, "{text:?}: {time:?}, {again:?}");
    }
    if let Ok(Bytes(bytes)) = text.parse() {
        let Bytes(again) = format!("{bytes}B").parse().expect("it was a size");
        // Numbers above 2⁵³ are not whole any more.
        assert!(again.abs_diff(bytes) <= bytes >> 52, "{text:?}: {bytes}, {again}");
    }
    for json in [text.to_owned(), format!("{text:?}")] {
        let _ = serde_json::from_str::<Seconds>(&json);
        let _ = serde_json::from_str::<Bytes>(&json);
        let _ = serde_json::from_str::<crate::Ratio>(&json);
        if let Ok(polygon) = serde_json::from_str::<crate::Polygon>(&json) {
            let inside = polygon.points().iter().flatten().all(|share| (0.0..=1.0).contains(share));
            assert!(inside && polygon.points().len() >= 3, "{text:?}");
            let _ = polygon.contains(0.5, 0.5);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::try_variations;

    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/");

    #[test]
    fn source_uris_hold() {
        try_variations(format!("{SEEDS}source_uri"), 5_000, check_source_uri);
    }

    #[test]
    fn units_hold() {
        try_variations(format!("{SEEDS}units"), 5_000, check_units);
    }
}
