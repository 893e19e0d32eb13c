use std::time::{Duration, Instant};

use keepsight_contract::{
    CallContext, CaptureWish, Frame, FrameSize, Host, PixelBuffer, PixelFormat, Source,
    SourceError, SourceEvent, SourceFault, SourceInfo, SourceRegistration, SourceUri,
};

/// Frames with nothing on them, as many as there are given detections for: who brings those needs
/// no pictures. All share one buffer.
pub(super) struct BlankFrames {
    size: FrameSize,
    rate: f64,
    count: u64,
    pixels: PixelBuffer,
    started: Instant,
    next_sequence: u64,
}

impl BlankFrames {
    /// What opens the URIs of [`uri`](Self::uri). Only `track` has it in its catalog.
    pub(super) const REGISTRATION: SourceRegistration =
        SourceRegistration::of::<Self>("keepsight", &["blank"]);

    /// `count` frames of that size, `rate` of them a second.
    pub(super) fn uri(size: FrameSize, rate: f64, count: u64) -> String {
        format!("blank:?size={}x{}&fps={rate}&frames={count}", size.width, size.height)
    }
}

impl Source for BlankFrames {
    fn open(
        uri: &SourceUri,
        _wish: &CaptureWish,
        _call: &CallContext,
        _host: &Host,
    ) -> Result<Self, SourceError> {
        let missing = |name: &str| {
            SourceError::new(SourceFault::Invalid, format!("blank frames need a {name}"))
        };
        let size =
            uri.parsed_param::<FrameSize>("size", "a size")?.ok_or_else(|| missing("size"))?;
        let bytes = size.width as usize * size.height as usize;
        Ok(Self {
            size,
            rate: uri.parsed_param("fps", "a rate")?.ok_or_else(|| missing("rate"))?,
            count: uri.parsed_param("frames", "a number")?.ok_or_else(|| missing("number"))?,
            pixels: PixelBuffer::from(vec![0; bytes]),
            started: Instant::now(),
            next_sequence: 0,
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: "blank frames".to_owned(),
            stable_id: None,
            format: PixelFormat::Gray,
            size: self.size,
            rate: Some(self.rate),
            live: false,
        }
    }

    fn next(&mut self, _call: &CallContext) -> Result<SourceEvent, SourceError> {
        if self.next_sequence == self.count {
            return Ok(SourceEvent::Ended);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let captured = self.started + Duration::from_secs_f64(sequence as f64 / self.rate);
        Frame::builder(PixelFormat::Gray, self.size, self.pixels.clone())
            .sequence(sequence)
            .captured(captured)
            .build()
            .map(SourceEvent::Frame)
            .map_err(|error| SourceError::new(SourceFault::Failed, error.to_string()))
    }

    fn frames(&self) -> Option<u64> {
        Some(self.count)
    }
}
