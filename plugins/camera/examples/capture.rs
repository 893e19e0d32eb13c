//! Opens a camera, takes frames for a while and says what came: `capture camera:0 --frames 50`.
//!
//! Options: `--frames N` (50), `--seconds S` (20, the longest it waits for them), `--size WxH`,
//! `--fps R`, `--times N` (1; opens and closes anew each time). `capture --list` lists cameras.
//! The status is 1 when a camera could not be opened, lost or given back.
#![expect(clippy::print_stdout, reason = "an example speaks on standard output")]

use std::{
    env,
    error::Error,
    process::ExitCode,
    str::FromStr,
    time::{Duration, Instant},
};

use keepsight_camera::CameraSource;
use keepsight_contract::{
    CaptureWish, Host, Source, SourceError, SourceEvent, SourceUri,
    testing::{RecordingHost, call_context},
};

struct Options {
    uri: SourceUri,
    wish: CaptureWish,
    frame_count: u64,
    limit: Duration,
    times: u32,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for device in CameraSource::devices()? {
            println!("{device:?}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = options(&arguments)?;
    let host = RecordingHost::new().host();
    let result = (0..options.times).try_for_each(|_| capture(&options, &host));
    for name in ["frames_missed", "frames_damaged", "captures_leaked"] {
        println!("counter {name}={}", host.counter(name).value());
    }
    if let Err(error) = result {
        println!("error {}: {error}; {}", error.code(), error.hint_text());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn capture(options: &Options, host: &Host) -> Result<(), SourceError> {
    let call = call_context(Duration::from_secs(10));
    let mut source = CameraSource::open(&options.uri, &options.wish, &call, host)?;
    println!("opened {:?}", source.info());
    let start = Instant::now();
    let (mut frames, mut gaps, mut pending) = (0, 0, 0);
    let mut last = None;
    let mut slowest = Duration::ZERO;
    while frames < options.frame_count && start.elapsed() < options.limit {
        let asked = Instant::now();
        let event = source.next(&call_context(Duration::from_secs(5)));
        slowest = slowest.max(asked.elapsed());
        match event {
            Ok(SourceEvent::Frame(frame)) => {
                frames += 1;
                if let Some((sequence, _)) = last {
                    gaps += frame.sequence() - sequence - 1;
                }
                last = Some((frame.sequence(), frame));
            }
            Ok(SourceEvent::Pending) => pending += 1,
            Ok(other) => println!("event {other:?}"),
            Err(error) => {
                println!("failed after frames={frames} slowest={} ms", slowest.as_millis());
                // The device is given back before anybody hears of the error.
                source.close()?;
                return Err(error);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let slowest = slowest.as_millis();
    println!(
        "took frames={frames} gaps={gaps} pending={pending} seconds={seconds:.2} slowest={slowest} ms"
    );
    if let Some((sequence, frame)) = last {
        let luma = frame.luma().map(|plane| {
            let sum: u64 = plane.pixels.iter().map(|value| u64::from(*value)).sum();
            sum / plane.size.pixel_count()
        });
        println!(
            "last sequence={sequence} bytes={} stride={} age={} ms mean luma={luma:?}",
            frame.pixels().len(),
            frame.stride(),
            frame.captured().elapsed().as_millis()
        );
    }
    source.close()
}

fn options(arguments: &[String]) -> Result<Options, Box<dyn Error>> {
    let uri = arguments.first().filter(|first| !first.starts_with('-'));
    let (size, rate) = (option(arguments, "--size")?, option(arguments, "--fps")?);
    Ok(Options {
        uri: uri.map_or("camera:0", String::as_str).parse()?,
        wish: CaptureWish { size, rate, ..CaptureWish::default() },
        frame_count: option(arguments, "--frames")?.unwrap_or(50),
        limit: Duration::from_secs(option(arguments, "--seconds")?.unwrap_or(20)),
        times: option(arguments, "--times")?.unwrap_or(1),
    })
}

fn option<T>(arguments: &[String], name: &str) -> Result<Option<T>, Box<dyn Error>>
where
    T: FromStr<Err: Error + 'static>,
{
    let value = arguments.iter().position(|argument| argument == name);
    let value = value.and_then(|index| arguments.get(index + 1));
    Ok(value.map(|value| value.parse()).transpose()?)
}
