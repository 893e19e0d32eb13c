//! The kernels against their twins, on every adapter there is. Without any, the tests say so by
//! name and pass.

use std::time::{Duration, Instant};

use keepsight_gpu::{AdapterChoice, Device, survey};

use super::*;
use crate::detect::executor::cases::cases;
use crate::detect::executor::plan_model;
use crate::detect::executor::tests::difference;

pub(super) fn devices(test: &str) -> Vec<Device> {
    let adapters = survey().adapters;
    if adapters.is_empty() {
        eprintln!("skipped {test}: this machine has no graphics adapter, not even lavapipe");
    }
    let open = |name: String| {
        let choice = AdapterChoice { allow_software: true, name: Some(name) };
        Device::open(&choice).expect("it was there a moment ago")
    };
    let sufficient = adapters.into_iter().filter(|adapter| adapter.sufficient);
    sufficient.map(|adapter| open(adapter.name)).collect()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn the_kernels_equal_their_twins() {
    for device in devices("the_kernels_equal_their_twins") {
        for case in cases() {
            let name = format!("{} on {}", case.name, device.adapter());
            let plan = plan_model(&case.bytes, case.input).unwrap();
            let network = GpuNetwork::new(&device, &plan).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut run = NetworkRun::new(&network).unwrap();
            let tensor = case.tensor();
            let expected = plan.run_twin(&tensor);
            let found = run.run(&tensor, soon()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let off = difference(&found[0], &expected[0]);
            assert!(off < 1e-5, "{name}: {off}");
        }
    }
}

/// The whole of the detector in the program, and one of the other family where there is one:
/// kernels against the engine that runs on the CPU.
#[cfg(feature = "bundled-model")]
#[test]
fn detectors_compute_what_the_engine_does() {
    use crate::detect::ModelFile;
    use crate::detect::executor::plan_detector;
    use crate::detect::executor::tests::{any_picture, by_engine, expected_of, yolox};

    let test = "detectors_compute_what_the_engine_does";
    let devices = devices(test);
    let files = [Some(ModelFile::bundled()), yolox(test)];
    for file in files.into_iter().flatten().filter(|_| !devices.is_empty()) {
        let description = file.description();
        let tensor = any_picture(description);
        let outputs = by_engine(&file.bytes, description.input().shape(), &tensor);
        let expected = expected_of(description, &outputs);
        let plan = plan_detector(&file.bytes, description).unwrap();
        for device in &devices {
            let network = GpuNetwork::new(device, &plan).unwrap();
            let mut run = NetworkRun::new(&network).unwrap();
            let found = run.run(&tensor, soon()).unwrap();
            for (found, expected) in found.iter().zip(&expected) {
                let off = difference(found, expected);
                assert!(off < 1e-3, "{} on {}: {off}", description.name(), device.adapter());
            }
        }
    }
}
