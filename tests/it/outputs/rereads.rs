//! Outputs of a configuration that is read again.

use super::support::{Sink, SinkBehaviour, await_report, output, report, setup, start, stream};
use crate::support::{Gate, Site, site::await_value};

fn await_records(sink: &Sink, more_than: usize) {
    await_value(|| sink.sequences().len().into(), |count| count.as_u64() > Some(more_than as u64));
}

#[test]
fn an_output_that_stays_misses_nothing() {
    let [stays, comes] = ["stays", "comes"].map(|name| Sink::named(name, SinkBehaviour::default()));
    let base = format!("{}{}", stream("out-base", "every"), output("sink:stays", "\"json\""));
    let more = format!("{base}{}", output("sink:comes", "\"json\""));
    let site = start(&base);
    await_records(&stays, 3);
    site.check_reread(&more, &["output sink:comes added"]);
    await_records(&comes, 3);
    assert_eq!(site.runtime.outputs().len(), 2);
    site.check_reread(&base, &["output sink:comes removed"]);
    let count = comes.sequences().len();
    await_records(&stays, stays.sequences().len() + 3);
    assert_eq!(comes.sequences().len(), count, "nothing more is written to what is gone");
    let sequences = stays.sequences();
    assert_eq!(sequences, (0..sequences.len() as u64).collect::<Vec<_>>());
    assert_eq!((site.stream("s")["reconnects"].as_u64(), report(&site).dropped), (Some(0), 0));
}

#[test]
fn an_output_is_opened_anew_for_other_kinds_and_never_twice_at_once() {
    let sink = Sink::named("other-kinds", SinkBehaviour::default());
    let toml = |what: &str| {
        format!("{}{}", stream("out-kinds", "newest"), output("sink:other-kinds", what))
    };
    let site = start(&toml("\"json\""));
    await_records(&sink, 3);
    site.check_reread(&toml("\"tracks\""), &["output sink:other-kinds rebuilt"]);
    await_records(&sink, sink.sequences().len());
    assert_eq!(report(&site).what, ["tracks"]);
    let limited = toml("\"tracks\"") + "keep = { size = \"1MiB\" }\n";
    site.check_reread(&limited, &["output sink:other-kinds rebuilt"]);
    site.check_reread(&limited, &[]);
}

#[test]
fn an_output_that_hangs_goes_all_the_same() {
    let gate = Gate::default();
    Sink::named("hangs-at-removal", SinkBehaviour::Hangs(gate.clone()));
    let limits = "[runtime.limits]\nshutdown = \"200ms\"\n";
    let base = format!("{limits}{}", stream("out-hangs", "newest"));
    let site: Site =
        Site::start_with(&(base.clone() + &output("sink:hangs-at-removal", "\"json\"")), setup())
            .unwrap();
    gate.await_waiting(1);
    let next = Sink::named("next", SinkBehaviour::default());
    let changes = ["output sink:hangs-at-removal removed", "output sink:next added"];
    site.check_reread(&(base + &output("sink:next", "\"json\"")), &changes);
    await_records(&next, 3);
    await_report(&site, |report| report.to == "sink:next" && report.written > 3);
    gate.open();
}
