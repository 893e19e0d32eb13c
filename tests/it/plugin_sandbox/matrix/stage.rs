use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Script, Site, client, site::await_value};

/// A process with the faulty instance `p` and one beside it that does well, while somebody asks
/// for health without a pause.
pub(super) struct Stage {
    pub(super) site: Site,
    over: Arc<AtomicBool>,
    asking: Option<thread::JoinHandle<()>>,
}

/// Within which health answers, whatever happens.
const ANSWER_MAX: Duration = Duration::from_secs(5);

impl Stage {
    /// With the fault injector as `p`; `lines` go on in its table. Restarts are quick unless they
    /// say something of restarts.
    #[track_caller]
    pub(super) fn injecting(lines: &str) -> Self {
        Self::start(&format!("use = \"fault-injector\"\n{lines}"))
    }

    /// With the fault injector as `p`, which does `fault` by plan.
    #[track_caller]
    pub(super) fn planning(fault: &str) -> Self {
        Self::injecting(&format!("config.faults = [{{ {fault} }}]"))
    }

    /// With a plugin that does what the script says as `p`; `lines` go on in its table.
    #[track_caller]
    pub(super) fn playing(script: Script, lines: &str) -> Self {
        static SCRIPTS: AtomicU64 = AtomicU64::new(0);
        let name = format!("matrix-{}", SCRIPTS.fetch_add(1, SeqCst));
        script.named(&name);
        Self::start(&format!("use = \"scripted\"\nconfig.script = {name:?}\n{lines}"))
    }

    #[track_caller]
    fn start(lines: &str) -> Self {
        let quickly = "restart.backoff = [\"10ms\", \"50ms\"]";
        let policy = if lines.contains("restart.") { "" } else { quickly };
        let site = Site::start(&format!(
            "[plugins.bystander]
             use = \"fault-injector\"
             restart = {{ budget = 1000, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }}
             [plugins.p]
             {policy}
             {lines}"
        ));
        let over = Arc::new(AtomicBool::new(false));
        let asking = thread::spawn({
            let (over, address) = (over.clone(), site.address());
            move || {
                // Once more after the end was said, so that what came last is asked about, too.
                while !over.load(SeqCst) {
                    ask(address);
                    thread::park_timeout(Duration::from_millis(10));
                }
                ask(address);
            }
        });
        Self { site, over, asking: Some(asking) }
    }

    /// Calls `p`, and checks the answer's status; what it says. One that is to go well is called
    /// again while it is refused: on a busy machine `p` may just be built anew.
    #[track_caller]
    pub(super) fn call(&self, tool: &str, args: Value, status: u16) -> Value {
        self.site.await_health("p", |health| health["state"] != "LOADED");
        let call = || {
            let (status, answer) = self.site.run_tool("p", tool, &args);
            json!({ "status": status, "answer": answer })
        };
        let found = await_value(call, |found| status != 200 || found["status"] != 503);
        assert_eq!(found["status"], status, "{found}");
        found["answer"].clone()
    }

    /// Has the fault injector do `kind`, and checks the answer's status and part of what it says.
    #[track_caller]
    pub(super) fn fail(&self, kind: &str, status: u16, says: &str) {
        let answer = self.call("fail", json!({ "kind": kind }), status);
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says), "{answer}");
    }

    /// Waits until the report on `p` has a fault of that code that says so; the fault.
    #[track_caller]
    pub(super) fn fault(&self, code: &str, says: &str) -> Value {
        let find = |report: &Value| {
            let faults = report["faults"].as_array().unwrap().iter();
            let mut alike = faults.filter(|fault| {
                fault["code"] == code && fault["reason"].as_str().unwrap().contains(says)
            });
            alike.next().cloned()
        };
        let report = await_value(|| self.report(), |report| find(report).is_some());
        let fault = find(&report).unwrap();
        assert!(!fault["hint"].as_str().unwrap().is_empty(), "{fault:#}");
        fault
    }

    /// Waits until `p` is in a state, with that code, and says so.
    #[track_caller]
    pub(super) fn state(&self, state: &str, code: &str, says: &str) -> Value {
        let health = self.site.await_health("p", |health| {
            health["state"] == state
                && health["code"] == code
                && health["reason"].as_str().is_some_and(|reason| reason.contains(says))
        });
        assert!(health["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{health:#}");
        health
    }

    /// Waits until `p` has gone through a state with that code, and said so.
    #[track_caller]
    pub(super) fn went_through(&self, state: &str, code: &str, says: &str) {
        await_value(
            || self.report(),
            |report| {
                report["transitions"].as_array().unwrap().iter().any(|step| {
                    step["to"] == state
                        && step["code"] == code
                        && step["reason"].as_str().unwrap().contains(says)
                })
            },
        );
    }

    /// Waits until `p` is degraded by that code, and says so.
    #[track_caller]
    pub(super) fn degraded(&self, code: &str, says: &str) {
        self.site.await_health("p", |health| {
            health["degraded"]
                .as_array()
                .unwrap()
                .iter()
                .any(|each| each["code"] == code && each["reason"].as_str().unwrap().contains(says))
        });
    }

    /// Waits until `p` is available.
    #[track_caller]
    pub(super) fn well(&self) -> Value {
        self.site.await_health("p", |health| {
            matches!(health["state"].as_str(), Some("INITIALIZED" | "RUNNING"))
        })
    }

    /// Waits until so many runs of `p` have ended by the error of that code, and checks that no
    /// fault was noted.
    #[track_caller]
    pub(super) fn counted_and_no_fault(&self, code: &str, count: u64) {
        let report = await_value(|| self.report(), |report| report["errors"][code] == count);
        assert_eq!(report["faults"], json!([]), "{report:#}");
        assert_eq!(report["error_count"], count, "{report:#}");
    }

    /// Waits until so many of `p`'s threads are abandoned.
    #[track_caller]
    pub(super) fn abandoned(&self, count: usize) {
        await_value(|| self.report(), |report| report["abandoned_workers"] == count);
    }

    pub(super) fn report(&self) -> Value {
        let (status, report) = self.site.get("/v1/inspector/plugins/p");
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Ends it: the instance beside the faulty one answers, and health was there throughout.
    #[track_caller]
    pub(super) fn end(mut self) {
        await_value(
            || json!(self.site.run_tool("bystander", "ok", &json!({})).0),
            |status| *status == 200,
        );
        self.over.store(true, SeqCst);
        let asking = self.asking.take().expect("it is ended once");
        assert!(asking.join().is_ok(), "health was not there throughout");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A case that fails has not ended it.
        self.over.store(true, SeqCst);
        if let Some(asking) = self.asking.take() {
            let _ = asking.join();
        }
    }
}

fn ask(address: std::net::SocketAddr) {
    for path in ["/livez", "/v1/plugins"] {
        let asked = Instant::now();
        let answer = client::get(address, path);
        let took = asked.elapsed();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(took < ANSWER_MAX, "{path} took {took:?}");
    }
}
