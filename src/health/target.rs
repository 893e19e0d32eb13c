/// What a request asks for: the path in parts and the query in pairs, percent-decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

impl Target {
    /// The target of `path` (from its first `/`) and `query` (without `?`); `None` where a
    /// percent escape is broken or gives no UTF-8.
    ///
    /// A path that ends in `/` has an empty last segment.
    pub fn parse(path: &str, query: Option<&str>) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let segments = path.split('/').map(decode).collect::<Option<_>>()?;
        let mut pairs = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plus = |text: &str| decode(&text.replace('+', " "));
            pairs.push((plus(name)?, plus(value)?));
        }
        Some(Self { segments, query: pairs })
    }

    /// The path's parts, in order.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The first value of that name; empty for a name without `=`.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query_all(name).next()
    }

    /// All values of that name.
    pub fn query_all(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.query.iter().filter(move |(found, _)| found == name);
        pairs.map(|(_, value)| value.as_str())
    }
}

/// `text` with each `%XX` replaced by its byte.
fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_taken_apart() {
        let target = Target::parse("/v1/plugins/a%20b/", Some("x=1&y&x=%2f+%2B&&z=")).unwrap();
        assert_eq!(target.segments(), ["v1", "plugins", "a b", ""]);
        assert_eq!(target.query_all("x").collect::<Vec<_>>(), ["1", "/ +"]);
        assert_eq!((target.query("y"), target.query("z")), (Some(""), Some("")));
        assert_eq!(target.query("other"), None);
        // A slash within a name does not make another segment.
        assert_eq!(Target::parse("/a%2Fb", None).unwrap().segments(), ["a/b"]);
    }

    #[test]
    fn broken_escapes_are_refused() {
        for path in ["/%", "/%2", "/%zz", "/%ff", "no-slash", "/%+1"] {
            assert_eq!(Target::parse(path, None), None, "{path}");
        }
        assert_eq!(Target::parse("/", Some("a=%")), None);
    }
}
