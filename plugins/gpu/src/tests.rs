//! What holds on a real driver. Without any adapter the tests that need one say
//! so by name and pass; `mesa-vulkan-drivers` provides a software one.

use std::process::Command;
use std::time::{Duration, Instant};

use super::survey::enumerate;
use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A device on any adapter there is, or a line that says which test is skipped.
fn any_device(test: &str) -> Option<Device> {
    match Device::open(&AdapterChoice { allow_software: true, name: None }) {
        Ok(device) => Some(device),
        Err(GpuError::NoAdapter) => {
            eprintln!("skipped {test}: this machine has no graphics adapter, not even lavapipe");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn buffer(device: &Device, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes,
        usage,
        mapped_at_creation: false,
    })
}

/// Copies `bytes` to the device and from there to a buffer that can be read.
fn round_trip(device: &Device, bytes: &[u8]) -> Result<Vec<u8>, GpuFault> {
    let size = bytes.len() as u64;
    let there = buffer(device, size, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC);
    let back = buffer(device, size, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
    device.queue().write_buffer(&there, 0, bytes);
    let mut encoder = device.device().create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(&there, 0, &back, 0, size);
    let submission = device.submit([encoder.finish()])?;
    let mut read = vec![0; bytes.len()];
    device.read_back(&back, submission, Instant::now() + LONG, &mut read)?;
    Ok(read)
}

/// A kernel that keeps even a fast device busy for a while.
fn submit_long_work(device: &Device) -> Result<wgpu::SubmissionIndex, GpuFault> {
    let module = device.device().create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(
            "@group(0) @binding(0) var<storage, read_write> sums: array<u32>;
             @compute @workgroup_size(64)
             fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                 var x = id.x;
                 for (var i = 0u; i < 3000000u; i++) { x = x * 1664525u + sums[(x >> 8u) & 63u]; }
                 sums[id.x & 63u] = x;
             }"
            .into(),
        ),
    });
    let pipeline = device.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    });
    let sums = buffer(device, 256, wgpu::BufferUsages::STORAGE);
    let group = device.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: sums.as_entire_binding() }],
    });
    let mut encoder = device.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(16, 1, 1);
    }
    device.submit([encoder.finish()])
}

#[test]
fn bytes_come_back_as_they_went() {
    let Some(device) = any_device("bytes_come_back_as_they_went") else { return };
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(round_trip(&device, &bytes), Ok(bytes));
    assert_eq!(device.health(), Ok(()));
}

#[test]
fn the_survey_names_the_adapter_that_is_opened() {
    let Some(device) = any_device("the_survey_names_the_adapter_that_is_opened") else { return };
    let survey = survey();
    assert!(survey.adapters.contains(device.adapter()), "{survey:?}");
    assert!(device.adapter().sufficient);
    assert!(device.adapter().limits.storage_buffers_max >= 4);

    let json = serde_json::to_value(&survey).unwrap();
    assert_eq!(serde_json::from_value::<GpuSurvey>(json).unwrap(), survey);
}

#[test]
fn an_invalid_command_is_recorded_and_panics_nobody() {
    let Some(device) = any_device("an_invalid_command_is_recorded_and_panics_nobody") else {
        return;
    };
    // MAP_READ may stand beside COPY_DST only.
    buffer(&device, 16, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE);
    let fault = device.health().unwrap_err();
    assert!(matches!(fault, GpuFault::Validation { .. }), "{fault}");
    assert_eq!(round_trip(&device, &[1, 2, 3, 4]), Err(fault));
}

#[test]
fn a_destroyed_device_is_lost_and_another_can_be_opened() {
    let test = "a_destroyed_device_is_lost_and_another_can_be_opened";
    let Some(device) = any_device(test) else { return };
    device.device().destroy();
    let fault = round_trip(&device, &[1, 2, 3, 4]).unwrap_err();
    assert!(matches!(fault, GpuFault::Lost { .. }), "{fault}");
    assert_eq!(device.health(), Err(fault));

    let next = any_device(test).expect("there was an adapter a moment ago");
    assert_eq!(round_trip(&next, &[1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn a_retired_device_refuses_work_and_leaves_others_alone() {
    let test = "a_retired_device_refuses_work_and_leaves_others_alone";
    let (Some(retired), Some(other)) = (any_device(test), any_device(test)) else { return };
    retired.clone().retire();
    let fault = GpuFault::Lost { message: "retired".to_owned() };
    assert_eq!(round_trip(&retired, &[1, 2, 3, 4]), Err(fault));
    assert_eq!(round_trip(&other, &[1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn a_wait_ends_at_its_deadline() {
    let Some(device) = any_device("a_wait_ends_at_its_deadline") else { return };
    let submission = submit_long_work(&device).unwrap();
    assert_eq!(device.wait(submission.clone(), Instant::now()), Err(GpuFault::TimedOut));
    assert_eq!(device.health(), Ok(()), "a late device is not a broken one");
    assert_eq!(device.wait(submission, Instant::now() + LONG), Ok(()));
}

#[test]
fn a_buffer_that_cannot_be_read_is_a_fault() {
    let Some(device) = any_device("a_buffer_that_cannot_be_read_is_a_fault") else { return };
    let there = buffer(&device, 16, wgpu::BufferUsages::COPY_DST);
    let submission = device.submit([]).unwrap();
    let read = device.read_back(&there, submission, Instant::now() + LONG, &mut [0; 16]);
    assert!(matches!(read, Err(GpuFault::Validation { .. })), "{read:?}");
}

#[test]
fn a_read_back_ends_at_its_deadline() {
    let Some(device) = any_device("a_read_back_ends_at_its_deadline") else { return };
    let back = buffer(&device, 16, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
    let submission = submit_long_work(&device).unwrap();
    let read = device.read_back(&back, submission, Instant::now(), &mut [0; 16]);
    assert_eq!(read, Err(GpuFault::TimedOut));
    // The one that is still mapped is left to itself; the device is none the worse.
    assert_eq!(round_trip(&device, &[1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
}

#[test]
fn a_device_lost_under_a_running_submission_ends_the_wait() {
    let test = "a_device_lost_under_a_running_submission_ends_the_wait";
    let Some(device) = any_device(test) else { return };
    let submission = submit_long_work(&device).unwrap();
    let waiting = device.clone();
    let waited = std::thread::spawn(move || waiting.wait(submission, Instant::now() + LONG));
    device.retire();
    let outcome = waited.join().expect("no callback panics");
    // It may have been done just before.
    assert!(matches!(outcome, Ok(()) | Err(GpuFault::Lost { .. })), "{outcome:?}");
    assert!(matches!(device.health(), Err(GpuFault::Lost { .. })));
}

#[test]
fn buffers_are_counted_and_rounded_up() {
    let Some(device) = any_device("buffers_are_counted_and_rounded_up") else { return };
    let made = device.buffer("five", 5, wgpu::BufferUsages::COPY_DST);
    let mapped = device.mapped_buffer("six", 6, wgpu::BufferUsages::COPY_SRC);
    assert_eq!((made.size(), mapped.size(), device.clone().buffers_made()), (8, 8, 2));
    mapped.unmap();
    assert_eq!(device.health(), Ok(()));
    assert_eq!(device.has_timestamps(), device.adapter().features.contains(&"timestamps".into()));
}

#[test]
fn a_driver_that_refuses_a_device_is_named() {
    let Some(adapter) = enumerate().into_iter().next() else {
        eprintln!("skipped a_driver_that_refuses_a_device_is_named: no graphics adapter");
        return;
    };
    // More than any driver has.
    let limits = wgpu::Limits { max_bind_groups: 1 << 20, ..wgpu::Limits::downlevel_defaults() };
    let refused = Device::open_on(&adapter, limits).unwrap_err();
    let GpuError::Refused { name, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*name, adapter.get_info().name);
    assert!(std::error::Error::source(&refused).is_some() && !refused.hint().is_empty());
}

#[test]
fn what_wgpu_reports_keeps_its_kind() {
    let source = || Box::new(std::io::Error::other("the source"));
    let text = || "the text".to_owned();
    for (error, fault) in [
        (
            wgpu::Error::OutOfMemory { source: source() },
            GpuFault::OutOfMemory { message: "the source".to_owned() },
        ),
        (
            wgpu::Error::Validation { source: source(), description: text() },
            GpuFault::Validation { message: text() },
        ),
        (
            wgpu::Error::Internal { source: source(), description: text() },
            GpuFault::Internal { message: text() },
        ),
    ] {
        assert_eq!(GpuFault::from(error), fault);
    }
}

/// The shell starves a process of this test of its memory: what the device then has none of is a
/// fault, and everything else goes on.
#[test]
fn a_starved_device_is_a_fault() {
    const CHILD: &str = "KEEPSIGHT_GPU_TEST_STARVED";
    let test = "a_starved_device_is_a_fault";
    if std::env::var_os(CHILD).is_some() {
        let Some(device) = any_device(test) else { return };
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        // 1 TiB at most, of which nothing is ever touched.
        let held: Vec<_> = (0..1 << 13)
            .map_while(|_| {
                let buffer = device.buffer("a lot", 1 << 27, usage);
                device.health().is_ok().then_some(buffer)
            })
            .collect();
        let fault = device.health().unwrap_err();
        assert!(matches!(fault, GpuFault::OutOfMemory { .. }), "after {}: {fault}", held.len());
        drop((held, device));
        let next = any_device(test).expect("there was an adapter a moment ago");
        assert_eq!(round_trip(&next, &[1, 2, 3, 4]), Ok(vec![1, 2, 3, 4]));
        return;
    }
    if any_device(test).is_none_or(|device| device.adapter().kind != AdapterKind::Software) {
        eprintln!("skipped {test}: only a software adapter's memory can be limited");
        return;
    }
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 6000000 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tests::a_starved_device_is_a_fault", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

/// Drivers are chosen by the environment, so the test runs itself again in a
/// process that has none.
#[test]
fn without_a_driver_the_survey_is_empty() {
    const CHILD: &str = "KEEPSIGHT_GPU_TEST_WITHOUT_DRIVER";
    if std::env::var_os(CHILD).is_some() {
        let survey = survey();
        assert!(survey.adapters.is_empty(), "{survey:?}");
        assert!(!survey.backends.is_empty());
        let opened = Device::open(&AdapterChoice { allow_software: true, name: None });
        assert!(matches!(opened, Err(GpuError::NoAdapter)), "{opened:?}");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::without_a_driver_the_survey_is_empty", "--nocapture"])
        .env(CHILD, "1")
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .env("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}
