//! Those who call tools, reload plugins, and let go what hangs.

use std::{
    thread::{self, Scope},
    time::{Duration, Instant},
};

use keepsight_fault_injector::release_all;
use serde_json::{Value, json};

use crate::{
    client::Client,
    faults,
    ledger::Ledger,
    random::Random,
    site::{ALL, FAULTY, Site},
};

/// Starts them; each ends at `end`.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    site: &'scope Site,
    end: Instant,
    random: &mut Random,
    ledger: &'scope Ledger,
) {
    for number in 0..CALLERS {
        let random = random.fork();
        scope.spawn(move || call_on(site, end, random, number, ledger));
    }
    let (bursts, reloads, moods, mut releases) =
        (random.fork(), random.fork(), random.fork(), random.fork());
    scope.spawn(move || burst_now_and_then(site, end, bursts, ledger));
    scope.spawn(move || reload_now_and_then(site, end, reloads, ledger));
    scope.spawn(move || change_mood(site, end, moods));
    scope.spawn(move || {
        while wait(releases.milliseconds(200..1500), end) {
            release_all();
        }
    });
}

fn call_on(site: &Site, end: Instant, mut random: Random, number: u64, ledger: &Ledger) {
    let mut client = Client::new(site.address);
    let mut count = 0;
    while wait(random.milliseconds(0..30), end) {
        count += 1;
        match random.below(20) {
            0..4 => echo(&mut client, number << 32 | count, ledger),
            4 => turned_away(&mut client, &mut random, ledger),
            _ => {
                let plugin = FAULTY[random.below(FAULTY.len() as u64) as usize];
                let (tool, args) = faults::choose(&mut random);
                call(&mut client, plugin, tool, &args, ledger);
            }
        }
    }
}

/// A call; the answer is one of those that a call may have.
fn call(
    client: &mut Client,
    plugin: &str,
    tool: &str,
    args: &Value,
    ledger: &Ledger,
) -> Option<Value> {
    let head = format!("POST /v1/plugins/{plugin}/tools/{tool}/run");
    let (status, body) = ask(client, &head, &json!({ "args": args }).to_string(), ledger)?;
    ledger.called(plugin, status);
    let text = String::from_utf8_lossy(&body);
    match (status, serde_json::from_slice::<Value>(&body)) {
        (200, Ok(answer)) if answer["plugin_id"] == plugin && answer["tool_name"] == tool => {
            return Some(answer);
        }
        (400 | 408 | 500 | 503, Ok(answer)) if answer["detail"].is_string() => {}
        _ => ledger.wrong(format!("{plugin} {tool} {args}: {status} {text}")),
    }
    None
}

/// A call whose answer can be told from any other's.
fn echo(client: &mut Client, id: u64, ledger: &Ledger) {
    let answer = call(client, "steady", "echo", &json!({ "id": id }), ledger);
    if let Some(answer) = answer
        && answer["result"]["id"] != id
    {
        ledger.wrong(format!("the answer to {id} is {answer}"));
    }
}

/// A request that no plugin gets to see.
fn turned_away(client: &mut Client, random: &mut Random, ledger: &Ledger) {
    let (head, body, expected) = match random.below(4) {
        0 => ("POST /v1/plugins/fault-a/tools/nothing/run", "{\"args\":{}}", 400),
        1 => ("POST /v1/plugins/nobody/tools/ok/run", "{\"args\":{}}", 400),
        2 => ("POST /v1/plugins/fault-a/tools/ok/run", "{\"args\":", 422),
        _ => ("GET /v1/plugins/nobody/health", "", 404),
    };
    let Some((status, body)) = ask(client, head, body, ledger) else { return };
    ledger.turned_away("fault-a");
    if status != expected {
        let text = String::from_utf8_lossy(&body);
        ledger.wrong(format!("{head}: {status} instead of {expected}: {text}"));
    }
}

/// More calls at once than a plugin's queue holds: some are refused, none is lost.
fn burst_now_and_then(site: &Site, end: Instant, mut random: Random, ledger: &Ledger) {
    while wait(random.milliseconds(1000..6000), end) {
        thread::scope(|scope| {
            for _ in 0..BURST {
                scope.spawn(|| {
                    let args = json!({"kind": "sleep", "seconds": 0.03});
                    call(&mut Client::new(site.address), "fault-a", "fail", &args, ledger);
                });
            }
        });
    }
}

fn reload_now_and_then(site: &Site, end: Instant, mut random: Random, ledger: &Ledger) {
    let mut client = Client::new(site.address);
    while wait(random.milliseconds(100..2500), end) {
        // The fragile one half of the time, since nothing else ends its quarantine.
        let plugin = match random.one_in(2) {
            true => "fragile",
            false => ALL[random.below(ALL.len() as u64) as usize],
        };
        let head = format!("POST /v1/plugins/{plugin}/reload");
        let Some((status, body)) = ask(&mut client, &head, "", ledger) else { continue };
        ledger.reloaded(status);
        if !matches!(status, 200 | 409 | 503) {
            ledger.wrong(format!("{head}: {status} {}", String::from_utf8_lossy(&body)));
        }
    }
}

/// Takes away what `moody` needs, and brings it back.
fn change_mood(site: &Site, end: Instant, mut random: Random) {
    while wait(random.milliseconds(500..4000), end) {
        std::fs::remove_file(&site.mood).expect("it was there");
        wait(random.milliseconds(100..1500), end);
        std::fs::write(&site.mood, "good").expect("the folder is ours");
    }
}

/// One request; the ledger knows of it and its answer.
pub(crate) fn ask(
    client: &mut Client,
    head: &str,
    body: &str,
    ledger: &Ledger,
) -> Option<(u16, Vec<u8>)> {
    ledger.asked();
    match client.ask(head, body) {
        Ok(answer) => {
            ledger.answered();
            Some((answer.status, answer.body))
        }
        Err(error) => {
            ledger.wrong(format!("{head} {body}: no answer: {error}"));
            None
        }
    }
}

/// Sleeps, and says whether there is time left then.
pub(crate) fn wait(time: Duration, end: Instant) -> bool {
    thread::sleep(time.min(end.saturating_duration_since(Instant::now())));
    Instant::now() < end
}

const CALLERS: u64 = 6;
/// More than two workers and a queue of eight take.
const BURST: usize = 14;
