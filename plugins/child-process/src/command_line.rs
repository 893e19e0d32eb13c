//! A command line as words, by a shell's rules of quoting and nothing else of a shell.

/// Why a text is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SplitError {
    /// A quotation that doesn't end.
    Unclosed(char),
    /// A backslash with nothing behind it.
    Dangling,
    /// No words.
    Empty,
}

/// The words of `text`: separated by white space; `'…'` keeps everything as it is, `"…"`
/// everything but `\"` and `\\`, a backslash elsewhere keeps the next character.
pub(crate) fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or(SplitError::Unclosed('\''))? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or(SplitError::Unclosed('"'))? {
                        '"' => break,
                        '\\' => match letters.next().ok_or(SplitError::Unclosed('"'))? {
                            letter @ ('"' | '\\') => word.push(letter),
                            letter => word.extend(['\\', letter]),
                        },
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => {
                let next = letters.next().ok_or(SplitError::Dangling)?;
                word.get_or_insert_default().push(next);
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) { Err(SplitError::Empty) } else { Ok(words) }
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unclosed(quote) => write!(f, "a {quote} has no end"),
            Self::Dangling => write!(f, "a backslash stands at its end"),
            Self::Empty => write!(f, "it names no program"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        for (text, words) in [
            ("a b  c", &["a", "b", "c"][..]),
            (" a\tb\n", &["a", "b"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a b'c d'\"e\"f", &["a", "bc def"]),
            (r"a\ b \' \\", &["a b", "'", r"\"]),
            (r#"a "\"\\ \n $x" '\"'"#, &["a", r#""\ \n $x"#, r#"\""#]),
            ("a '' \"\"", &["a", "", ""]),
            ("a|b > $(c) *", &["a|b", ">", "$(c)", "*"]),
            ("ä 'ö ü'", &["ä", "ö ü"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_named() {
        for (text, error) in [
            ("", SplitError::Empty),
            ("  ", SplitError::Empty),
            ("'' a", SplitError::Empty),
            ("a 'b", SplitError::Unclosed('\'')),
            ("a \"b\\\"", SplitError::Unclosed('"')),
            ("a \\", SplitError::Dangling),
        ] {
            assert_eq!(split(text), Err(error), "{text}");
        }
    }
}
