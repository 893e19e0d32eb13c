//! Whether any text is either a configuration or an error that says where; for fuzzing and for
//! tests.

use std::path::Path;

use super::{Config, ConfigError, Environment, Place};

/// Reads `bytes` as `keepsight.toml`. In its environment `${KEY}` is a secret, and `${NAME}` is
/// not set.
///
/// # Panics
/// Where an error names no line that there is, where the secret is shown, and where the same text
/// means two things.
pub fn check_configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let variable = |name: &str| (name == "KEY").then(|| SECRET.to_owned());
    let environment =
        Environment { plugins: &["frame-stats", "video-tracker"], variable: &variable };
    let read = || Config::parse(text, Path::new("keepsight.toml"), &environment);
    let shown = match read() {
        Ok(config) => {
            for (name, stream) in &config.streams {
                assert!(stream.plugins.iter().all(|plugin| config.plugins.contains_key(plugin)));
                assert!(stream.settings.keys().all(|plugin| stream.plugins.contains(plugin)));
                assert!(!name.is_empty());
            }
            let Config { server, plugins, streams, outputs, .. } = &config;
            assert!(server.listen.ip().is_loopback() || server.key.is_some());
            format!("{:?} {plugins:?} {streams:?} {outputs:?}", server.key)
        }
        Err(error) => {
            check_place(&error, text);
            error.to_string()
        }
    };
    assert!(!shown.contains(SECRET), "the secret is in {shown}");
    let again = match read() {
        Ok(Config { server, plugins, streams, outputs, .. }) => {
            format!("{:?} {plugins:?} {streams:?} {outputs:?}", server.key)
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, again);
}

fn check_place(error: &ConfigError, text: &str) {
    let shown = error.to_string();
    let place = error.place().unwrap_or_else(|| panic!("no place in {shown}"));
    let Place { file, line, column } = place;
    assert_eq!(file, Path::new("keepsight.toml"), "{shown}");
    assert!(shown.starts_with(&format!("keepsight.toml:{line}:{column}: ")), "{shown}");
    let written = text.split('\n').nth(*line as usize - 1);
    let written = written.unwrap_or_else(|| panic!("no line {line} in the text: {shown}"));
    assert!(*column as usize <= 1 + written.chars().count(), "no such column: {shown}");
}

const SECRET: &str = "Tr0ub4dor";

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    #[test]
    fn any_text_is_a_configuration_or_says_where_it_is_none() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/configuration");
        try_variations(seeds, 3_000, check_configuration);
    }

    #[test]
    fn the_sample_is_one() {
        check_configuration(include_bytes!("../../packaging/keepsight.toml"));
    }
}
