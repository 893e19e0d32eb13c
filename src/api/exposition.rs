use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use keepsight_contract::HistogramSnapshot;

/// Metrics in Prometheus's text format, version 0.0.4.
///
/// Samples are given in any order and come out grouped by family, each family once. A sample that
/// would break the format is left out, since one plugin's names must not make all unreadable: of
/// a name that another family has already, or a series that is already there.
#[derive(Default)]
pub(super) struct Exposition {
    families: Vec<Family>,
    /// Position of each family by name.
    positions: HashMap<String, usize>,
    /// Names that samples may have, each of one family.
    taken: HashSet<String>,
}

struct Family {
    kind: Kind,
    text: String,
    series: HashSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Names and values of a series.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    pub(super) const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    pub(super) fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: u64) {
        if let Some((text, labels)) = self.series(name, Kind::Counter, help, labels) {
            line(text, name, "", &labels, &value.to_string());
        }
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        if let Some((text, labels)) = self.series(name, Kind::Gauge, help, labels) {
            line(text, name, "", &labels, &number(value));
        }
    }

    /// `value` in the unit of the name is what was recorded times `scale`.
    ///
    /// Every second edge is given: powers of two are fine enough, and half as many series.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: Labels<'_>,
        value: &HistogramSnapshot,
        scale: f64,
    ) {
        let Some((text, labels)) = self.series(name, Kind::Histogram, help, labels) else { return };
        let mut below = 0;
        for (index, (edge, count)) in value.buckets.iter().enumerate() {
            below += count;
            if index % 2 == 0 && edge.is_finite() {
                let with_edge = joined(&labels, &format!("le=\"{}\"", number(edge * scale)));
                line(text, name, "_bucket", &with_edge, &below.to_string());
            }
        }
        line(text, name, "_bucket", &joined(&labels, "le=\"+Inf\""), &below.to_string());
        line(text, name, "_sum", &labels, &number(value.sum * scale));
        line(text, name, "_count", &labels, &below.to_string());
    }

    pub(super) fn into_text(self) -> String {
        self.families.into_iter().map(|family| family.text).collect()
    }

    /// Where to write a series, and its labels as text; `None` where it would break the format.
    fn series(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        labels: Labels<'_>,
    ) -> Option<(&mut String, String)> {
        let position = match self.positions.get(name) {
            Some(position) => *position,
            None => self.add_family(name, kind, help)?,
        };
        let family = &mut self.families[position];
        let labels = label_text(labels);
        if family.kind != kind || !family.series.insert(labels.clone()) {
            return None;
        }
        Some((&mut family.text, labels))
    }

    fn add_family(&mut self, name: &str, kind: Kind, help: &str) -> Option<usize> {
        let suffixes: &[&str] = match kind {
            Kind::Counter | Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count"],
        };
        let names = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
        if names.clone().any(|name| self.taken.contains(&name)) {
            return None;
        }
        self.taken.extend(names);
        let kind_name = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let text = format!("# HELP {name} {help}\n# TYPE {name} {kind_name}\n");
        self.families.push(Family { kind, text, series: HashSet::new() });
        self.positions.insert(name.to_owned(), self.families.len() - 1);
        Some(self.families.len() - 1)
    }
}

/// `text` as a part of a metric's name: what may not stand there becomes an underscore.
pub(super) fn name_part(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    text.chars().map(allowed).collect()
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &str, value: &str) {
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(text, "{name}{suffix}{braces} {value}").expect("a string takes all text");
}

fn joined(labels: &str, more: &str) -> String {
    if labels.is_empty() { more.to_owned() } else { format!("{labels},{more}") }
}

fn label_text(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{name}=\"{value}\"").expect("a string takes all text");
    }
    text
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use keepsight_contract::Histogram;

    use super::*;

    #[test]
    fn a_family_is_written_once_with_its_series_together() {
        let mut exposition = Exposition::default();
        exposition.counter("a_total", "Counts\nall \\ of it", &[("x", "1")], 1);
        exposition.gauge("b", "Is", &[], f64::INFINITY);
        exposition.counter("a_total", "said already", &[("x", "q\"u\\o\nte")], 2);
        let expected = concat!(
            "# HELP a_total Counts\\nall \\\\ of it\n# TYPE a_total counter\n",
            "a_total{x=\"1\"} 1\na_total{x=\"q\\\"u\\\\o\\nte\"} 2\n",
            "# HELP b Is\n# TYPE b gauge\nb +Inf\n",
        );
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn what_would_break_the_format_is_left_out() {
        let mut exposition = Exposition::default();
        let empty = Histogram::default().snapshot();
        exposition.gauge("h_count", "Stands first", &[], 1.0);
        exposition.histogram("h", "Has a name that is taken", &[], &empty, 1.0);
        exposition.counter("h_count", "Is of another kind", &[("x", "1")], 1);
        exposition.gauge("h_count", "Is there twice", &[], 2.0);
        assert_eq!(
            exposition.into_text(),
            "# HELP h_count Stands first\n# TYPE h_count gauge\nh_count 1\n"
        );
    }

    #[test]
    fn buckets_are_cumulative_and_in_the_unit_of_the_name() {
        let histogram = Histogram::default();
        for milliseconds in [0.01, 3.0, 4.0, f64::INFINITY] {
            histogram.record(milliseconds);
        }
        let mut exposition = Exposition::default();
        exposition.histogram("h_seconds", "Takes", &[("p", "x")], &histogram.snapshot(), 1e-3);
        let text = exposition.into_text();
        for line in [
            "h_seconds_bucket{p=\"x\",le=\"0.0000625\"} 1\n",
            "h_seconds_bucket{p=\"x\",le=\"0.002\"} 1\n",
            "h_seconds_bucket{p=\"x\",le=\"0.004\"} 3\n",
            "h_seconds_bucket{p=\"x\",le=\"1048.576\"} 3\n",
            "h_seconds_bucket{p=\"x\",le=\"+Inf\"} 4\n",
            "h_seconds_sum{p=\"x\"} +Inf\n",
            "h_seconds_count{p=\"x\"} 4\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert_eq!(text.matches("_bucket").count(), 26);
    }

    #[test]
    fn names_are_made_of_what_may_stand_there() {
        assert_eq!(name_part("video-Tracker.p95 ü"), "video_tracker_p95__");
    }
}
