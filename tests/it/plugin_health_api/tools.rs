//! Running tools and reloading: the status table, the result's form, the picture.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use expect_test::expect;
use keepsight::{
    api::{ReloadError, ToolCall, ToolError, ToolOutcome},
    lifecycle::LifecycleState,
};
use keepsight_contract::{
    BoundingBox, Detection, Detections, FrameSize, JsonOutput, OverlayShape, Region, Regions,
    Response,
};
use keepsight_jpeg::Picture;
use serde_json::{Value, json};

use super::{
    client::{Answer, get, post},
    fake_backend::{FakeBackend, failed_plugin, plugin, tracked},
};

const RUN: &str = "/v1/plugins/looker/tools/look/run";

fn with_run(
    run: impl Fn(&str, ToolCall) -> Result<ToolOutcome, ToolError> + Send + Sync + 'static,
) -> FakeBackend {
    let mut unmanifested = plugin("bare", LifecycleState::Running);
    unmanifested.manifest = None;
    let plugins = vec![
        plugin("looker", LifecycleState::Initialized),
        plugin("loaded", LifecycleState::Loaded),
        failed_plugin("failed"),
        unmanifested,
    ];
    FakeBackend { plugins, run: Box::new(run), ..FakeBackend::default() }
}

fn outcome(response: Response) -> ToolOutcome {
    ToolOutcome { response: Arc::new(response), took: Duration::from_micros(12_900) }
}

/// What `POST RUN body` answers where the plugin echoes its call.
fn run_echo(body: &str) -> (Answer, Option<ToolCall>) {
    let (seen, calls) = mpsc::channel();
    let server = with_run(move |_, call| {
        seen.send(call.clone()).unwrap();
        Ok(outcome(Response::new().with(JsonOutput::new("echo", call.args))))
    })
    .serve();
    let answer = post(server.address(), RUN, body);
    (answer, calls.try_recv().ok())
}

#[test]
fn a_call_gives_its_result() {
    let (answer, call) = run_echo(r#"{"args": {"a": [1, "x"]}, "other": true}"#);
    assert_eq!(answer.status, 200);
    let expected = json!({
        "tool_name": "look",
        "plugin_id": "looker",
        "result": { "echo": { "a": [1, "x"] } },
        "processing_time_ms": 12,
    });
    assert_eq!(answer.json(), expected);
    let call = call.unwrap();
    assert_eq!((call.tool.as_str(), call.args), ("look", json!({ "a": [1, "x"] })));
    assert!(call.frame.is_none());
}

#[test]
fn results_have_each_output_under_its_kind() {
    let server = with_run(|_, _| {
        let bbox = BoundingBox::new(1.0, 2.0, 3.0, 4.0);
        let detection = Detection { bbox, confidence: 0.5, class: "car".into(), class_id: 2 };
        let region = Region { label: "motion".to_owned(), bbox, score: 7.0 };
        let line = OverlayShape::Line { points: vec![[0.0, 1.0]], color: [1, 2, 3] };
        let tracks = tracked(1, Duration::ZERO).response.outputs[0].clone();
        Ok(outcome(
            Response::new()
                .with(Detections(vec![detection]))
                .with(tracks)
                .with(Regions(vec![region]))
                .with(JsonOutput::new("brightness", 0.25))
                .attach("crop.jpg", "image/jpeg", vec![0, 255])
                .overlay(line),
        ))
    })
    .serve();
    let result = post(server.address(), RUN, r#"{"args":{}}"#).json()["result"].take();
    expect![[r#"
        {
          "attachments": [
            {
              "base64": "AP8=",
              "media_type": "image/jpeg",
              "name": "crop.jpg"
            }
          ],
          "brightness": 0.25,
          "detections": [
            {
              "class": "car",
              "class_id": 2,
              "confidence": 0.5,
              "height": 4.0,
              "width": 3.0,
              "x": 1.0,
              "xyxy": [
                1.0,
                2.0,
                4.0,
                6.0
              ],
              "y": 2.0
            }
          ],
          "overlay": [
            {
              "color": [
                1,
                2,
                3
              ],
              "points": [
                [
                  0.0,
                  1.0
                ]
              ],
              "shape": "line"
            }
          ],
          "regions": [
            {
              "height": 4.0,
              "label": "motion",
              "score": 7.0,
              "width": 3.0,
              "x": 1.0,
              "xyxy": [
                1.0,
                2.0,
                4.0,
                6.0
              ],
              "y": 2.0
            }
          ],
          "tracks": [
            {
              "age_frames": 9,
              "class": "person",
              "class_id": 0,
              "confidence": 0.9,
              "first_sequence": 1,
              "height": 24.0,
              "since_seconds": 0.5,
              "state": "confirmed",
              "track_id": 7,
              "velocity": [
                1.0,
                0.0
              ],
              "width": 32.0,
              "x": 16.0,
              "xyxy": [
                16.0,
                12.0,
                48.0,
                36.0
              ],
              "y": 12.0
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&result).unwrap());
}

#[test]
fn pictures_come_in_base64_with_or_without_a_prefix() {
    let picture = Picture::filled(20, 10, [200, 100, 50]);
    let base64 = BASE64_STANDARD.encode(keepsight_jpeg::encode(&picture, 90).unwrap());
    for text in [
        base64.clone(),
        base64.trim_end_matches('=').to_owned(),
        format!("data:image/jpeg;base64,{base64}"),
    ] {
        let (answer, call) =
            run_echo(&json!({ "args": { "frame_base64": text, "k": 1 } }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let call = call.unwrap();
        assert_eq!(call.frame.unwrap().size(), FrameSize::new(20, 10));
        // The plugin sees a frame and not the text as well.
        assert_eq!(call.args, json!({ "k": 1 }));
    }
}

#[test]
fn what_is_no_picture_is_a_bad_argument() {
    let text = BASE64_STANDARD.encode("no picture");
    for (value, expected) in [
        (json!(7), "frame_base64 is no text"),
        (json!("%%%"), "frame_base64 is not base64"),
        (json!("data:image/jpeg,abc"), "frame_base64 is a data URL that is not base64"),
        (json!(text), "frame_base64 holds no picture: neither a JPEG nor a PNG"),
    ] {
        let (answer, call) = run_echo(&json!({ "args": { "frame_base64": value } }).to_string());
        assert_eq!(answer.status, 400, "{value}");
        assert!(answer.detail().starts_with(expected), "{} for {value}", answer.detail());
        assert!(call.is_none());
    }
}

#[test]
fn bodies_of_another_schema_are_unprocessable() {
    for body in ["", "{", "[]", "{}", r#"{"args": 1}"#, r#"{"args": null}"#, "\u{0}"] {
        let (answer, call) = run_echo(body);
        assert_eq!(answer.status, 422, "{body:?}");
        assert!(answer.detail().starts_with("the body is not"), "{}", answer.detail());
        assert!(call.is_none());
    }
}

#[test]
fn what_cannot_be_called_is_not_called() {
    let server = with_run(|_, _| panic!("it was called")).serve();
    for (path, status, detail, retry_after) in [
        ("/v1/plugins/x/tools/look/run", 400, "Plugin 'x' not found", None),
        (
            "/v1/plugins/looker/tools/lock/run",
            400,
            "plugin 'looker' has no tool 'lock'; it has look",
            None,
        ),
        ("/v1/plugins/loaded/tools/look/run", 503, "plugin is LOADED", None),
        (
            "/v1/plugins/failed/tools/look/run",
            503,
            "plugin is FAILED: init panicked: no luck; see the log",
            Some("2"),
        ),
    ] {
        let answer = post(server.address(), path, r#"{"args":{}}"#);
        assert_eq!((answer.status, answer.detail().as_str()), (status, detail), "{path}");
        assert_eq!(answer.header("retry-after"), retry_after, "{path}");
    }
}

#[track_caller]
fn check_error(error: ToolError, status: u16, detail: &str, retry_after: Option<&str>) {
    let server = with_run(move |_, _| Err(error.clone())).serve();
    let answer = post(server.address(), "/v1/plugins/bare/tools/any/run", r#"{"args":{}}"#);
    assert_eq!((answer.status, answer.detail().as_str()), (status, detail));
    assert_eq!(answer.header("retry-after"), retry_after);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn each_error_has_its_status() {
    let text = |text: &str| text.to_owned();
    let unknown = ToolError::UnknownPlugin { plugin: text("bare") };
    check_error(unknown, 400, "Plugin 'bare' not found", None);
    let unknown = ToolError::UnknownTool { plugin: text("bare"), tool: text("any"), known: vec![] };
    check_error(unknown, 400, "plugin 'bare' has no tool 'any'; it has none", None);
    let bad = ToolError::BadArguments { reason: text("k is too big") };
    check_error(bad, 400, "k is too big", None);
    let away = ToolError::NotServing {
        state: LifecycleState::Unavailable,
        reason: Some(text("no GPU")),
        hint: None,
        retry_after: Some(Duration::from_secs(30)),
    };
    check_error(away, 503, "plugin is UNAVAILABLE: no GPU", Some("30"));
    let full = "too many calls wait for this plugin; ask again later";
    check_error(ToolError::QueueFull, 503, full, Some("1"));
    let reloaded = ToolError::GivenUp { reason: text("the plugin was reloaded") };
    check_error(reloaded, 503, "the call was given up: the plugin was reloaded", Some("1"));
    let late = ToolError::TimedOut { limit: Duration::from_secs(30) };
    check_error(late, 408, "no result within 30s", None);
    let fault = ToolError::Fault { code: text("run.panicked"), reason: text("panicked: oh") };
    check_error(fault, 500, "panicked: oh", None);
}

#[test]
fn a_fault_of_the_server_itself_is_an_answer_too() {
    let server = with_run(|_, _| panic!("a mistake in the backend")).serve();
    let answer = post(server.address(), RUN, r#"{"args":{}}"#);
    assert_eq!((answer.status, answer.detail().as_str()), (500, "Internal Server Error"));
    assert_eq!(get(server.address(), "/livez").status, 200);
}

#[track_caller]
fn check_reload(result: Result<(), ReloadError>, status: u16, body: Value, retry: Option<&str>) {
    let reload = move |_: &str| result.clone();
    let server = FakeBackend { reload: Box::new(reload), ..FakeBackend::default() }.serve();
    let answer = post(server.address(), "/v1/plugins/looker/reload", "");
    assert_eq!((answer.status, answer.json()), (status, body));
    assert_eq!(answer.header("retry-after"), retry);
}

#[test]
fn reloads_answer_how_they_went() {
    let detail = |text: &str| json!({ "detail": text });
    check_reload(Ok(()), 200, json!({ "status": "reloaded", "plugin": "looker" }), None);
    let unknown = ReloadError::UnknownPlugin { plugin: "looker".to_owned() };
    check_reload(Err(unknown), 404, detail("Plugin 'looker' not found"), None);
    let busy = detail("another reload of it is under way");
    check_reload(Err(ReloadError::UnderWay), 409, busy, None);
    let failed = ReloadError::NotInitialized {
        state: LifecycleState::Failed,
        reason: Some("init panicked".to_owned()),
        hint: Some("see the log".to_owned()),
        retry_after: Some(Duration::from_millis(1)),
    };
    let expected = detail("plugin is FAILED: init panicked; see the log");
    check_reload(Err(failed), 503, expected, Some("1"));
    let ending = detail("the process is shutting down");
    check_reload(Err(ReloadError::ShuttingDown), 503, ending, None);
}
