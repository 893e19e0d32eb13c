//! More memory than an instance may have, taken in every way.

use std::{
    hint::black_box,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use keepsight_contract::{Host, Response};
use serde_json::json;

use super::{Case, stage::Stage};
use crate::support::{Gate, Script, site::await_value};

pub(super) const CASES: &[Case] = &[
    ("memory over the limit, grown slowly", slowly),
    ("memory over the limit, in one allocation that the system grants", at_once),
    ("memory over the limit, on a pool's thread", on_a_pools_thread),
    ("memory over the limit, freed elsewhere", freed_elsewhere),
    ("memory over the limit, by code that hears nothing", unheeded),
];

const LIMIT: &str = "memory = \"16MiB\"";
const SAYS: &str = "beyond the limit of 16.0 MiB";
const MIB: usize = 1 << 20;

fn slowly() {
    let script = Script::default().run(|request, call| {
        let mut hoard = Vec::new();
        while request.args()["greedy"] == true && call.checkpoint().is_ok() {
            assert!(hoard.len() < 20_000, "nobody stops it");
            hoard.push(black_box(vec![1_u8; MIB / 20]));
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, LIMIT);
    check_call_and_the_next(&stage);
    stage.end();
}

fn at_once() {
    let script = Script::default().run(|request, _| {
        if request.args()["greedy"] == true {
            // Zeroed pages that nobody touches: granted, and there only on paper.
            drop(black_box(vec![0_u8; 2 << 30]));
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, LIMIT);
    check_call_and_the_next(&stage);
    stage.end();
}

#[track_caller]
fn check_call_and_the_next(stage: &Stage) {
    let answer = stage.call("do", json!({ "greedy": true }), 500);
    assert!(answer["detail"].as_str().unwrap().contains(SAYS), "{answer}");
    stage.fault("run.memory_exceeded", SAYS);
    await_less_than(stage, MIB);
    stage.call("do", json!({}), 200);
}

#[track_caller]
fn await_less_than(stage: &Stage, bytes: usize) {
    await_value(
        || stage.report()["memory"]["bytes"].clone(),
        |found| found.as_u64() < Some(bytes as u64),
    );
}

/// To whom the pool answers with what it made.
type Question = mpsc::Sender<Vec<u8>>;

/// A pool that outlives calls, and whose threads entered the plugin's scope.
fn on_a_pools_thread() {
    let pool: Arc<Mutex<Option<mpsc::Sender<Question>>>> = Arc::default();
    let started = pool.clone();
    let script = Script::default()
        .init(move |host: &Host| {
            let (ask, asked) = mpsc::channel::<Question>();
            let scope = host.scope();
            thread::spawn(move || {
                let _entered = scope.enter();
                for answer in asked {
                    let _ = answer.send(black_box(vec![1; 32 * MIB]));
                }
            });
            *started.lock().unwrap() = Some(ask);
            Ok(())
        })
        .run(move |request, _| {
            if request.args()["greedy"] == true {
                let (answer, answers) = mpsc::channel();
                let ask = pool.lock().unwrap().clone().unwrap();
                ask.send(answer)?;
                drop(answers.recv()?);
            }
            Ok(Response::new())
        });
    let stage = Stage::playing(script, LIMIT);
    check_call_and_the_next(&stage);
    stage.end();
}

/// It is the plugin's until it is freed, whoever frees it.
fn freed_elsewhere() {
    let hoard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = hoard.clone();
    let script = Script::default().run(move |request, _| {
        if request.args()["greedy"] == true {
            kept.lock().unwrap().push(black_box(vec![1; 32 * MIB]));
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, LIMIT);
    stage.call("do", json!({ "greedy": true }), 500);
    stage.fault("run.memory_exceeded", SAYS);
    let bytes = stage.report()["memory"]["bytes"].as_u64().unwrap();
    assert!(bytes >= 32 * MIB as u64, "{bytes}");
    thread::spawn(move || hoard.lock().unwrap().clear()).join().unwrap();
    await_less_than(&stage, MIB);
    stage.call("do", json!({}), 200);
    stage.end();
}

fn unheeded() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().run(move |request, _| {
        if request.args()["greedy"] == true {
            let hoard = black_box(vec![1_u8; 32 * MIB]);
            held.wait();
            drop(hoard);
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, LIMIT);
    stage.call("do", json!({ "greedy": true }), 500);
    stage.fault("run.memory_exceeded", SAYS);
    stage.abandoned(1);
    gate.open();
    stage.abandoned(0);
    await_less_than(&stage, MIB);
    stage.call("do", json!({}), 200);
    stage.end();
}
