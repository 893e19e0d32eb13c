//! What a frame of the scene costs, on one core: 20 targets at 1080p have to leave room for
//! whoever watches, at 30 frames a second (33 ms a frame).

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use keepsight_contract::testing::{RecordingHost, call_context};
use keepsight_contract::{CaptureWish, Pace, Source};
use keepsight_scene::SceneSource;

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("scene_1080p_20_targets");
    group.sample_size(20).warm_up_time(Duration::from_secs(1));
    for (name, params) in [
        ("plain", ""),
        ("without_noise", "&noise=0"),
        ("rgb", "&format=rgb"),
        ("empty", "&targets=0"),
        ("shaken", "&shake=12"),
        ("in_changing_light", "&light=0.5"),
        ("before_a_moving_background", "&background=moving"),
        ("turned", "&figures=mixed&turn=90"),
        ("everything", "&figures=mixed&turn=90&shake=12&light=0.5&background=moving&noise=10"),
    ] {
        let uri = format!("scene:?size=1920x1080&targets=20{params}").parse().unwrap();
        let wish = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
        let (host, call) = (RecordingHost::new().host(), call_context(Duration::from_secs(3600)));
        let mut scene = SceneSource::open(&uri, &wish, &call, &host).unwrap();
        group.bench_function(name, |b| b.iter(|| scene.next(&call).unwrap()));
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
