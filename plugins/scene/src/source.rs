//! The scene as a source of frames.

use std::time::{Duration, Instant};

use keepsight_contract::{
    CallContext, CaptureWish, Frame, Host, Pace, PixelBuffer, Source, SourceError, SourceEvent,
    SourceFault, SourceInfo, SourceUri, register_source,
};

use crate::renderer::Renderer;
use crate::settings::Settings;

/// A generated scene; see the crate's text for its URI.
pub struct SceneSource {
    settings: Settings,
    renderer: Renderer,
    pace: Pace,
    started: Instant,
    next_sequence: u64,
}

impl Source for SceneSource {
    fn open(
        uri: &SourceUri,
        wish: &CaptureWish,
        _call: &CallContext,
        _host: &Host,
    ) -> Result<Self, SourceError> {
        let settings = Settings::of(uri, wish)?;
        Ok(Self {
            renderer: Renderer::new(&settings),
            settings,
            pace: wish.pace,
            started: Instant::now(),
            next_sequence: 0,
        })
    }

    fn info(&self) -> SourceInfo {
        let Settings { targets, seed, size, rate, format, .. } = self.settings;
        SourceInfo {
            device: format!("generated scene with {targets} objects, seed {seed}"),
            stable_id: None,
            format,
            size,
            rate: Some(rate),
            live: self.is_live(),
        }
    }

    fn frames(&self) -> Option<u64> {
        self.settings.frames
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        if self.settings.frames.is_some_and(|frames| self.next_sequence >= frames) {
            return Ok(SourceEvent::Ended);
        }
        if self.pace == Pace::Native && !self.wait_until_due(call) {
            return Ok(SourceEvent::Pending);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let (pixels, truth) = self.renderer.render(sequence);
        let Settings { format, size, .. } = self.settings;
        Frame::builder(format, size, PixelBuffer::from(pixels))
            .sequence(sequence)
            .captured(self.due(sequence))
            .truth(truth)
            .build()
            .map(SourceEvent::Frame)
            .map_err(|error| SourceError::new(SourceFault::Failed, error.to_string()))
    }
}

register_source!(SceneSource, schemes = ["scene"]);

impl SceneSource {
    fn is_live(&self) -> bool {
        self.pace == Pace::Native && self.settings.frames.is_none()
    }

    /// When frame `sequence` is captured.
    fn due(&self, sequence: u64) -> Instant {
        self.started + Duration::from_secs_f64(sequence as f64 / self.settings.rate)
    }

    /// Waits until the next frame is due, not longer than one call may; whether it is due now. Live, frames that are a whole frame late are skipped, as a camera loses them.
    fn wait_until_due(&mut self, call: &CallContext) -> bool {
        if self.is_live() {
            let passed = self.started.elapsed().as_secs_f64() * self.settings.rate;
            self.next_sequence = self.next_sequence.max(passed as u64);
        }
        call.wait_until(self.due(self.next_sequence))
    }
}

#[cfg(test)]
mod tests {
    use keepsight_contract::PixelFormat;
    use keepsight_contract::testing::{RecordingHost, call_context};

    use super::*;

    fn open(uri: &str, pace: Pace) -> SceneSource {
        let wish = CaptureWish { pace, ..CaptureWish::default() };
        let call = call_context(Duration::from_secs(5));
        SceneSource::open(&uri.parse().unwrap(), &wish, &call, &RecordingHost::new().host())
            .unwrap()
    }

    /// The next frame, however often the source says that there is none yet.
    fn next(source: &mut SceneSource) -> Option<Frame> {
        for _ in 0..1000 {
            match source.next(&call_context(Duration::from_secs(5))).unwrap() {
                SourceEvent::Frame(frame) => return Some(frame),
                SourceEvent::Pending => {}
                SourceEvent::Ended => return None,
                other => panic!("{other:?}"),
            }
        }
        panic!("no frame in a thousand calls")
    }

    #[test]
    fn an_unpaced_scene_gives_each_frame_and_ends() {
        let mut source = open("scene:?frames=3&size=320x240", Pace::Unpaced);
        let info = source.info();
        assert_eq!((info.rate, info.live, info.format), (Some(30.0), false, PixelFormat::Yuyv));
        assert_eq!(source.frames(), Some(3));
        let frames: Vec<Frame> = std::iter::from_fn(|| next(&mut source)).collect();
        assert_eq!(frames.iter().map(Frame::sequence).collect::<Vec<_>>(), [0, 1, 2]);
        for pair in frames.windows(2) {
            let step = pair[1].captured() - pair[0].captured();
            assert!(step.abs_diff(Duration::from_secs_f64(1.0 / 30.0)) < Duration::from_micros(1));
        }
        assert!(frames.iter().all(|frame| !frame.truth().unwrap().objects.is_empty()));
        assert!(next(&mut source).is_none(), "ended is ended");
    }

    #[test]
    fn a_native_scene_gives_no_frame_before_its_time() {
        let mut source = open("scene:?size=64x48&fps=200", Pace::Native);
        assert!(source.info().live);
        for _ in 0..20 {
            let frame = next(&mut source).unwrap();
            assert!(frame.captured() <= Instant::now());
        }
    }

    #[test]
    fn who_asks_late_misses_frames_of_a_live_scene_but_none_of_a_finite_one() {
        for (uri, expected) in
            [("scene:?size=64x48&fps=20", 200), ("scene:?size=64x48&frames=9", 0)]
        {
            let mut source = open(uri, Pace::Native);
            source.started -= Duration::from_secs(10);
            let sequence = next(&mut source).unwrap().sequence();
            assert!((expected..expected + 100).contains(&sequence), "{uri}: {sequence}");
        }
    }

    #[test]
    fn a_slow_scene_answers_pending_meanwhile() {
        let mut source = open("scene:?size=64x48&fps=0.1", Pace::Native);
        assert!(next(&mut source).is_some());
        let event = source.next(&call_context(Duration::from_secs(5))).unwrap();
        assert!(matches!(event, SourceEvent::Pending), "{event:?}");
    }
}
