//! A strict reader of Prometheus's text format 0.0.4: whatever it does not require is a panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    str::Chars,
};

/// Samples by name and labels, as `name{a="1",b="2"}` with raw values and sorted labels.
#[derive(Debug)]
pub(super) struct Samples(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Samples {
    #[track_caller]
    pub(super) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut samples = BTreeMap::new();
        let mut families = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("no HELP: {line}"));
            let (family, _) = help.split_once(' ').expect("a help text");
            assert!(is_name(family), "{family}");
            assert!(families.insert(family.to_owned()), "{family} is there twice");
            let line = lines.next().expect("a TYPE");
            let kind = line.strip_prefix(&format!("# TYPE {family} ")).expect("the same family");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || family.ends_with("_total"), "{line}");
            let mut series = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (name, labels, value) = sample(line);
                let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("alien: {line}"));
                let suffixes: &[_] =
                    if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.contains(&suffix), "{line}");
                series.push((suffix.to_owned(), labels.clone(), value));
                let before = samples.insert((name, labels), value);
                assert!(before.is_none(), "there twice: {line}");
            }
            assert!(!series.is_empty(), "{family} has no samples");
            if kind == "histogram" {
                check_histogram(family, &series);
            }
        }
        Self(samples)
    }

    /// The value of a series; `None` where there is no such one.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.0.get(&(name.to_owned(), labels.iter().map(owned).collect())).copied()
    }

    /// How many series have that name.
    pub(super) fn count(&self, name: &str) -> usize {
        self.0.keys().filter(|(found, _)| found == name).count()
    }
}

/// Each label set's buckets grow, in the order of their edges, up to its count.
fn check_histogram(family: &str, series: &[(String, BTreeMap<String, String>, f64)]) {
    let mut buckets: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for (suffix, labels, value) in series {
        let mut labels = labels.clone();
        let edge = labels.remove("le");
        assert_eq!(edge.is_some(), suffix == "_bucket", "{family}: {labels:?}");
        let known = buckets.entry(labels).or_default();
        if let Some(edge) = edge {
            known.push((number(&edge), *value));
        }
    }
    for (labels, buckets) in buckets {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family}: {buckets:?}");
        let (edge, below) = *buckets.last().expect("a bucket");
        assert_eq!(edge, f64::INFINITY, "{family}");
        let count = series.iter().find(|(suffix, of, _)| suffix == "_count" && *of == labels);
        assert_eq!(count.expect("a count").2, below, "{family}");
        assert!(series.iter().any(|(suffix, of, _)| suffix == "_sum" && *of == labels));
    }
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = rest.chars().peekable();
    if rest.next_if_eq(&'{').is_some() {
        loop {
            let (name, value) = label(&mut rest, line);
            assert!(labels.insert(name, value).is_none(), "a label twice: {line}");
            match rest.next() {
                Some(',') => {}
                Some('}') => break,
                other => panic!("{other:?} behind a label: {line}"),
            }
        }
    }
    assert_eq!(rest.next(), Some(' '), "{line}");
    (name.to_owned(), labels, number(&rest.collect::<String>()))
}

fn label(rest: &mut Peekable<Chars<'_>>, line: &str) -> (String, String) {
    let mut name = String::new();
    while let Some(c) = rest.next_if(|c| *c != '=') {
        name.push(c);
    }
    assert!(is_name(&name) && !name.contains(':'), "{line}");
    assert_eq!((rest.next(), rest.next()), (Some('='), Some('"')), "{line}");
    let mut value = String::new();
    loop {
        match rest.next().unwrap_or_else(|| panic!("an open label: {line}")) {
            '"' => return (name, value),
            '\\' => match rest.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('\\' | '"')) => value.push(c),
                other => panic!("{other:?} is escaped: {line}"),
            },
            c => value.push(c),
        }
    }
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        _ => {
            let plain = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
            assert!(text.chars().all(plain), "{text:?} is no number");
            text.parse().unwrap()
        }
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}
