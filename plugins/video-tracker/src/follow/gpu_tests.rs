//! The kernels against their twin, on every adapter there is. Without any, the tests say so by
//! name and pass.

use std::time::{Duration, Instant};

use keepsight_contract::{BoundingBox, PixelFormat, testing::frames::from_bytes};
use keepsight_gpu::{AdapterChoice, Device, survey};

use super::tests::scene;
use super::*;

fn devices(test: &str) -> Vec<Device> {
    let adapters = survey().adapters;
    if adapters.is_empty() {
        eprintln!("skipped {test}: this machine has no graphics adapter, not even lavapipe");
    }
    let open = |name: String| {
        let choice = AdapterChoice { allow_software: true, name: Some(name) };
        Device::open(&choice).expect("it was there a moment ago")
    };
    adapters.into_iter().filter(|a| a.sufficient).map(|adapter| open(adapter.name)).collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Kernels and twin may differ by this, in shares of the likeness, of a pixel and of the ratio.
const OFF_MAX: f32 = 0.01;

#[track_caller]
fn check(adapter: &str, kernels: &[Found], twin: &[Found]) {
    assert_eq!(kernels.len(), twin.len());
    for (a, b) in kernels.iter().zip(twin) {
        let pairs = [
            (a.likeness, b.likeness, 1.0),
            (a.bbox.x, b.bbox.x, 10.0),
            (a.bbox.y, b.bbox.y, 10.0),
            (a.bbox.width, b.bbox.width, 10.0),
            (a.bbox.height, b.bbox.height, 10.0),
            (a.sidelobe_ratio, b.sidelobe_ratio, b.sidelobe_ratio),
        ];
        for (a_number, b_number, unit) in pairs {
            let off = (a_number - b_number).abs() / unit;
            assert!(off <= OFF_MAX, "{adapter}: {a:?} is not {b:?}");
        }
    }
}

#[test]
fn the_kernels_equal_their_twin() {
    for device in devices("the_kernels_equal_their_twin") {
        let adapter = device.adapter().to_string();
        let config = FollowConfig::default();
        let mut kernels = GpuFollower::new(&device, config).unwrap();
        let mut twin = CpuFollower::new(config);
        // Small and large, tall and wide, half outside: each on another level.
        let boxes = [
            BoundingBox::new(100.0, 60.0, 40.0, 60.0),
            BoundingBox::new(20.0, 30.0, 150.0, 120.0),
            BoundingBox::new(90.0, 70.0, 12.0, 16.0),
            BoundingBox::new(-20.0, 150.0, 90.0, 110.0),
        ];
        let lessons: Vec<_> = (0..)
            .zip(boxes)
            .map(|(slot, bbox)| Lesson { slot: 7 * slot, bbox, rate: 1.0 })
            .collect();
        let mut sought: Vec<_> =
            lessons.iter().map(|lesson| Sought { slot: lesson.slot, bbox: lesson.bbox }).collect();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for frame in 0..6 {
            let moved = frame as f32;
            let card = BoundingBox::new(100.0 + 3.0 * moved, 60.0 + moved, 40.0 + moved, 60.0);
            let picture = scene(&card, 1);
            kernels.take(&picture).unwrap();
            twin.take(&picture).unwrap();
            if frame == 0 {
                kernels.learn(&lessons).unwrap();
                twin.learn(&lessons);
            }
            kernels.locate(&sought, soon(), &mut left).unwrap();
            twin.locate(&sought, &mut right);
            check(&adapter, &left, &right);
            kernels.compare(&sought, soon(), &mut left).unwrap();
            let mut compared = Vec::new();
            twin.compare(&sought, &mut compared);
            check(&adapter, &left, &compared);
            let lesson = |(sought, found): (&Sought, &Found)| Lesson {
                slot: sought.slot,
                bbox: found.bbox,
                rate: 0.2,
            };
            let lessons: Vec<_> = sought.iter().zip(&right).map(lesson).collect();
            kernels.learn(&lessons).unwrap();
            twin.learn(&lessons);
            for (sought, found) in sought.iter_mut().zip(&right) {
                sought.bbox = found.bbox;
            }
            kernels.release();
            twin.release();
        }
    }
}

#[test]
fn after_the_first_frames_nothing_is_made_on_the_device() {
    for device in devices("after_the_first_frames_nothing_is_made_on_the_device") {
        let mut kernels = GpuFollower::new(&device, FollowConfig::default()).unwrap();
        let card = BoundingBox::new(100.0, 60.0, 40.0, 60.0);
        let mut made = None;
        for frame in 0..4 {
            kernels.take(&scene(&card, 1)).unwrap();
            kernels.learn(&[Lesson { slot: 0, bbox: card, rate: 1.0 }]).unwrap();
            let mut found = Vec::new();
            kernels.locate(&[Sought { slot: 0, bbox: card }], soon(), &mut found).unwrap();
            assert!(found[0].is_clear(kernels.config()), "{found:?}");
            if frame > 0 {
                let before = made.replace(device.buffers_made());
                assert!(before.is_none_or(|before| before == device.buffers_made()));
            }
        }
    }
}

#[test]
fn a_lost_device_is_a_fault_that_the_cpu_survives() {
    for device in devices("a_lost_device_is_a_fault_that_the_cpu_survives") {
        let mut kernels = GpuFollower::new(&device, FollowConfig::default()).unwrap();
        let card = BoundingBox::new(100.0, 60.0, 40.0, 60.0);
        kernels.take(&scene(&card, 1)).unwrap();
        kernels.learn(&[Lesson { slot: 0, bbox: card, rate: 1.0 }]).unwrap();
        let (sought, mut found) = ([Sought { slot: 0, bbox: card }], Vec::new());
        kernels.locate(&sought, soon(), &mut found).unwrap();
        device.device().destroy();
        let error = kernels.locate(&sought, soon(), &mut found).unwrap_err();
        assert!(matches!(error, FollowError::Gpu(_)), "{error}");
        assert!(error.is_gpu_fault());
        let mut path = Follower::Gpu(Box::new(kernels));
        assert!(path.take(&scene(&card, 1)).is_ok(), "a frame is taken in on the host");
        assert!(path.learn(&[Lesson { slot: 0, bbox: card, rate: 1.0 }]).is_err());
        path.fall_back();
        path.take(&scene(&card, 1)).unwrap();
        path.learn(&[Lesson { slot: 0, bbox: card, rate: 1.0 }]).unwrap();
        path.locate(&sought, soon(), &mut found).unwrap();
        assert!(found[0].is_clear(path.config()));
        assert!(GpuFollower::new(&device, FollowConfig::default()).is_err());
    }
}

#[test]
fn a_frame_beyond_the_buffers_is_refused() {
    for device in devices("a_frame_beyond_the_buffers_is_refused") {
        let mut kernels = GpuFollower::new(&device, FollowConfig::default()).unwrap();
        let large = from_bytes(PixelFormat::Gray, 16_384, 8_192, vec![0; 16_384 * 8_192]);
        let error = kernels.take(&large).unwrap_err();
        assert!(matches!(error, FollowError::FrameTooLarge { .. }), "{error}");
        assert!(error.is_gpu_fault());
    }
}
