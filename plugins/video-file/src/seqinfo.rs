//! `seqinfo.ini`, by which the MOT Challenge describes a sequence of pictures.

use std::path::{Component, Path};

use crate::settings::rate_fits;

/// What is used of `seqinfo.ini`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeqInfo {
    /// The folder with the pictures, beside the file: one name.
    pub(crate) folder: String,
    /// Frames a second.
    pub(crate) rate: Option<f64>,
}

impl SeqInfo {
    /// Reads the file's text: `key=value` lines; sections, comments and other keys are passed
    /// over.
    ///
    /// # Errors
    /// A sentence on the value that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut info = Self { folder: "img1".to_owned(), rate: None };
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "imdir" => {
                    let mut parts = Path::new(value).components();
                    let one_name = matches!(parts.next(), Some(Component::Normal(_)));
                    if !one_name || parts.next().is_some() {
                        return Err(format!("imDir={value} is not the name of a folder beside it"));
                    }
                    info.folder = value.trim_end_matches('/').to_owned();
                }
                "framerate" => {
                    let rate = value.parse().ok().filter(rate_fits);
                    let rate = rate.ok_or(format!("frameRate={value} is not a rate"))?;
                    info.rate = Some(rate);
                }
                _ => {}
            }
        }
        Ok(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_folder_are_read() {
        let text = "[Sequence]\r\nname=A\r\nimDir=pictures\r\nframeRate=12.5\r\nimExt=.jpg\r\n";
        let info = SeqInfo::parse(text).unwrap();
        assert_eq!(info, SeqInfo { folder: "pictures".into(), rate: Some(12.5) });
        let info = SeqInfo::parse("; nothing\n").unwrap();
        assert_eq!(info, SeqInfo { folder: "img1".into(), rate: None });
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("imDir=../elsewhere", "imDir"),
            ("imDir=/etc", "imDir"),
            ("imDir=a/b", "imDir"),
            ("imDir=", "imDir"),
            ("frameRate=fast", "frameRate"),
            ("frameRate=0", "frameRate"),
            ("frameRate=nan", "frameRate"),
        ] {
            let reason = SeqInfo::parse(text).unwrap_err();
            assert!(reason.contains(named), "{text}: {reason}");
        }
    }
}
