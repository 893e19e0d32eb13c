//! The kernel against its twin, on every adapter there is. Without any, the
//! tests say so by name and pass.

use std::time::{Duration, Instant};

use keepsight_contract::PixelFormat;
use keepsight_gpu::{AdapterChoice, Device, GpuFault, survey};

use super::tests::{INPUTS, LEVELS_OFF_MAX, awkward_frames, levels_off, noise};
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
    adapters
        .into_iter()
        .filter(|adapter| adapter.sufficient)
        .map(|adapter| open(adapter.name))
        .collect()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_kernel_equals_its_twin() {
    for device in devices("the_kernel_equals_its_twin") {
        for input in INPUTS {
            let mut kernel = GpuPreprocess::new(&device, &input).unwrap();
            let mut twin = CpuPreprocess::new(&input);
            let (mut left, mut right) = (vec![0.0; input.elements()], vec![0.0; input.elements()]);
            for frame in awkward_frames() {
                left.fill(f32::NAN);
                let placement = kernel.run(&frame, soon(), &mut left).unwrap();
                assert_eq!(twin.run(&frame, &mut right).unwrap(), placement);
                let off = levels_off(&input, &left, &right);
                let adapter = device.adapter();
                assert!(off <= LEVELS_OFF_MAX, "{adapter}, {frame:?} {}: {off}", frame.stride());
            }
        }
    }
}

#[test]
fn a_late_tensor_is_a_fault_and_the_next_is_right() {
    for device in devices("a_late_tensor_is_a_fault_and_the_next_is_right") {
        let input = INPUTS[1];
        let mut kernel = GpuPreprocess::new(&device, &input).unwrap();
        let mut tensor = vec![0.0; input.elements()];
        // A software adapter may be done before anybody looks.
        let large = noise(PixelFormat::Rgb, 4096, 4096, 0);
        let late = kernel.run(&large, Instant::now(), &mut tensor);
        if let Err(error) = late {
            assert!(matches!(error, PreprocessError::Gpu(GpuFault::TimedOut)), "{error}");
            assert!(error.is_gpu_fault());
        }
        let frame = noise(PixelFormat::Gray, 64, 48, 0);
        kernel.run(&frame, soon(), &mut tensor).unwrap();
        let mut expected = vec![0.0; input.elements()];
        CpuPreprocess::new(&input).run(&frame, &mut expected).unwrap();
        assert!(levels_off(&input, &tensor, &expected) <= LEVELS_OFF_MAX);
    }
}

#[test]
fn a_lost_device_is_a_fault_that_the_cpu_path_survives() {
    for device in devices("a_lost_device_is_a_fault_that_the_cpu_path_survives") {
        let input = INPUTS[0];
        let mut path = Preprocessor::Gpu(GpuPreprocess::new(&device, &input).unwrap());
        let frame = noise(PixelFormat::Yuyv, 64, 48, 0);
        let mut tensor = vec![0.0; input.elements()];
        path.run(&frame, soon(), &mut tensor).unwrap();

        device.device().destroy();
        let error = path.run(&frame, soon(), &mut tensor).unwrap_err();
        assert!(matches!(error, PreprocessError::Gpu(GpuFault::Lost { .. })), "{error}");
        path.fall_back();
        assert!(!path.is_gpu());
        path.run(&frame, soon(), &mut tensor).unwrap();
        assert!(GpuPreprocess::new(&device, &input).is_err());
    }
}

#[test]
fn a_frame_beyond_the_buffers_is_refused() {
    for device in devices("a_frame_beyond_the_buffers_is_refused") {
        let input = INPUTS[0];
        let mut path = GpuPreprocess::new(&device, &input).unwrap();
        // 128 MiB and a row.
        let frame = noise(PixelFormat::Gray, 65_536, 2049, 0);
        let mut tensor = vec![0.0; input.elements()];
        let error = path.run(&frame, soon(), &mut tensor).unwrap_err();
        assert!(matches!(error, PreprocessError::FrameTooLarge { .. }), "{error}");
        assert!(error.is_gpu_fault(), "the CPU path has no such limit");
        let refused = path.run(&frame, soon(), &mut tensor[1..]).unwrap_err();
        assert!(matches!(refused, PreprocessError::Tensor { .. }), "{refused}");
    }
}
