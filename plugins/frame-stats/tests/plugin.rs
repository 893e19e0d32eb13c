//! The plugin as the runtime drives it, without the runtime.

use std::time::Duration;

use keepsight_contract::{
    CallError, Frame, JsonOutput, Manifest, PixelFormat, Plugin, PluginRegistration, Request,
    StreamInfo,
    private::inventory,
    testing::{RecordingHost, call_context, frames},
};
use keepsight_frame_stats::{Config, FrameStats, Session};
use serde_json::{Value, json};

fn session(settings: Value) -> Result<Session, CallError> {
    let stream = StreamInfo::new("test").with_settings(settings);
    FrameStats.open(&stream, &RecordingHost::new().host())
}

fn stats(session: &mut Session, frame: Frame) -> Result<Value, CallError> {
    let request = Request::new("stats").with_frame(frame);
    let response = FrameStats.run(session, &request, &call_context(Duration::from_secs(5)))?;
    Ok(response.output::<JsonOutput>().expect("the stats are there").value.clone())
}

#[test]
fn a_checkerboard_is_half_bright_and_all_contrast() {
    let mut session = session(json!({"step": 1})).unwrap();
    let board = frames::gray(8, 6, |x, y| if (x + y) % 2 == 0 { 200 } else { 100 });
    let expected = json!({"brightness": 150.0, "contrast": 50.0, "motion": null});
    assert_eq!(stats(&mut session, board).unwrap(), expected);
}

#[test]
fn motion_is_the_change_since_the_frame_before() {
    let mut session = session(json!({})).unwrap();
    for (brightness, motion) in [(10, json!(null)), (14, json!(4.0)), (4, json!(10.0))] {
        let found = stats(&mut session, frames::gray(16, 16, |_, _| brightness)).unwrap();
        assert_eq!(found["motion"], motion);
    }
}

#[test]
fn a_new_size_or_format_begins_anew() {
    let mut session = session(json!({})).unwrap();
    stats(&mut session, frames::gray(16, 16, |_, _| 10)).unwrap();
    let yuyv = frames::from_bytes(PixelFormat::Yuyv, 32, 4, [90, 128].repeat(128));
    let found = stats(&mut session, yuyv).unwrap();
    assert_eq!(found, json!({"brightness": 90.0, "contrast": 0.0, "motion": null}));
}

#[test]
fn what_is_no_picture_is_told() {
    let mut session = session(json!({})).unwrap();
    let call = call_context(Duration::from_secs(5));
    let none = FrameStats.run(&mut session, &Request::new("stats"), &call).unwrap_err();
    assert!(matches!(none, CallError::BadArguments(_)), "{none}");
    let broken = frames::from_bytes(PixelFormat::Mjpeg, 8, 8, vec![0xFF]);
    assert!(matches!(stats(&mut session, broken), Err(CallError::Failed(_))));
}

#[test]
fn unknown_and_impossible_settings_are_refused() {
    for settings in [json!({"steps": 4}), json!({"step": 0})] {
        assert!(matches!(session(settings), Err(CallError::Failed(_))));
    }
    assert_eq!(Config::default().step.get(), 4);
}

#[test]
fn it_is_registered_under_its_manifest() {
    let found: Vec<_> = inventory::iter::<PluginRegistration>().collect();
    let [registration] = found[..] else { panic!("{} registrations", found.len()) };
    assert_eq!(registration.crate_name, "keepsight-frame-stats");
    let manifest: Manifest = FrameStats::manifest();
    assert_eq!((registration.functions.manifest)(), manifest);
    let tool = manifest.find_tool(manifest.stream_tool.as_deref().unwrap()).unwrap();
    assert_eq!(tool.output_types, ["brightness", "contrast", "motion"]);
}
