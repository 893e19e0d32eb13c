//! Those who ask how everything is.

use std::{
    collections::BTreeMap,
    thread::Scope,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    callers::{ask, wait},
    client::{Client, follow},
    ledger::Ledger,
    site::{ALL, Site},
};

/// Starts them; each ends at `end`.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    site: &'scope Site,
    end: Instant,
    ledger: &'scope Ledger,
) {
    for _ in 0..POLLERS {
        scope.spawn(move || poll(site, end, ledger));
    }
    scope.spawn(move || follow_events(site, end, ledger));
}

fn poll(site: &Site, end: Instant, ledger: &Ledger) {
    let mut client = Client::new(site.address);
    let mut counts = BTreeMap::new();
    let mut round = 0;
    while wait(Duration::from_millis(5), end) {
        round += 1;
        let path = PATHS[round % PATHS.len()];
        let start = Instant::now();
        let Some((status, body)) = ask(&mut client, &format!("GET {path}"), "", ledger) else {
            continue;
        };
        ledger.took(path, start.elapsed());
        if status != 200 {
            let text = String::from_utf8_lossy(&body);
            ledger.wrong(format!("GET {path}: {status} {text}"));
        }
        if path == "/v1/plugins" {
            check_list(&body, &mut counts, ledger);
        }
    }
}

/// Every plugin is there, and no count goes back.
fn check_list(body: &[u8], counts: &mut BTreeMap<String, (u64, u64)>, ledger: &Ledger) {
    let list: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    if list.len() != ALL.len() {
        ledger.wrong(format!("{} plugins instead of {}", list.len(), ALL.len()));
    }
    for item in &list {
        let count = |key: &str| item[key].as_u64().unwrap_or(0);
        let now = (count("success_count"), count("error_count"));
        let name = item["name"].as_str().unwrap_or_default().to_owned();
        let before = counts.entry(name).or_default();
        if now.0 < before.0 || now.1 < before.1 {
            ledger.wrong(format!("{item} after {before:?}"));
        }
        *before = now;
    }
}

/// Follows, is cut off and resumes; the numbers of events have no hole that was not announced.
fn follow_events(site: &Site, end: Instant, ledger: &Ledger) {
    let mut sequel = Sequel::default();
    while Instant::now() < end {
        let until = (Instant::now() + Duration::from_secs(20)).min(end);
        let from = sequel.last.clone();
        (sequel.first, sequel.events, sequel.gaps) = (true, 0, 0);
        let result = follow(site.address, from.as_deref(), |line| {
            if let Err(what) = sequel.take(line) {
                ledger.wrong(what);
            }
            Instant::now() < until
        });
        ledger.events(sequel.events, sequel.gaps);
        if let Err(error) = result {
            ledger.wrong(format!("the events broke off: {error}"));
        }
    }
}

/// Where somebody who follows the events has got to.
#[derive(Default)]
struct Sequel {
    last: Option<String>,
    number: u64,
    /// The next id is the first of its answer, which says behind which event that begins.
    first: bool,
    /// Events were missed; the next line but empty ones must say so.
    owed: bool,
    events: u64,
    gaps: u64,
}

impl Sequel {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if line == "event: gap" {
            self.gaps += 1;
            self.owed = false;
        }
        let Some(id) = line.strip_prefix("id: ") else { return Ok(()) };
        let number = id.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
        let number = number.ok_or_else(|| format!("an event's id is {id:?}"))?;
        let (before, known) = (self.number, self.last.replace(id.to_owned()).is_some());
        self.number = number;
        if std::mem::take(&mut self.owed) {
            return Err(format!("events were missed before {number}, and nobody said so"));
        }
        if std::mem::take(&mut self.first) {
            self.owed = known && number != before;
            return Ok(());
        }
        // A sign of life repeats the last number.
        self.events += number - before.min(number);
        match number == before || number == before + 1 {
            true => Ok(()),
            false => Err(format!("event {number} came after {before}")),
        }
    }
}

const POLLERS: usize = 3;
const PATHS: [&str; 8] = [
    "/v1/plugins",
    "/livez",
    "/readyz",
    "/v1/plugins",
    "/v1/plugins/fault-a/health",
    "/metrics",
    "/v1/streams",
    "/v1/health",
];
