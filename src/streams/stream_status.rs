use std::{
    borrow::Cow,
    collections::VecDeque,
    time::{Duration, Instant},
};

use keepsight_contract::{Frame, SourceError, SourceInfo};

/// Where a stream's source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// It is being opened for the first time.
    Opening,
    /// Frames come.
    Live,
    /// It is open, and no frames come, or always the same one.
    Stalled,
    /// It was lost or could not be opened; it is tried again.
    Reconnecting,
    /// A file has ended.
    Ended,
    /// Trying again can't help.
    Failed,
}

/// Where a session of a plugin on a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It waits for the plugin to be loaded, or for the first frame.
    Waiting,
    /// It is being opened.
    Opening,
    /// It works on frames.
    Running,
    /// It ended by a fault, and is opened again after a pause.
    Restarting,
    /// It is over, as its stream is.
    Closed,
}

/// A stream's source at one moment: what it is, how it does, and why.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// Where it stands.
    pub state: SourceState,
    /// Since when.
    pub since: Instant,
    /// A stable code, such as `source.not_found`, where something is the matter.
    pub code: Option<Cow<'static, str>>,
    /// What is the matter.
    pub reason: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// What was the matter last; over, unless `reason` says it too.
    pub last_trouble: Option<SourceTrouble>,
    /// What was opened last, with format and size of its newest frame.
    pub info: Option<SourceInfo>,
    /// How many frames that has from its first to its last, where it knows.
    pub frames_expected: Option<u64>,
    /// Frames that came so far.
    pub frames_in: u64,
    /// How often the source was opened again.
    pub reconnects: u64,
    /// When the last frame came.
    pub last_frame_at: Option<Instant>,
    /// When the last frames came, oldest first; the measured rate is over these.
    recent: VecDeque<Instant>,
}

/// What was the matter with a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrouble {
    /// A stable code, such as `source.lost`.
    pub code: Cow<'static, str>,
    /// What was the matter.
    pub reason: String,
    /// When it was noticed last.
    pub at: Instant,
}

impl StreamStatus {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: SourceState::Opening,
            since: now,
            code: None,
            reason: None,
            hint: None,
            last_trouble: None,
            info: None,
            frames_expected: None,
            frames_in: 0,
            reconnects: 0,
            last_frame_at: None,
            recent: VecDeque::with_capacity(RATE_OVER),
        }
    }

    /// Frames a second over the last few, or `None` while there are too few or none come.
    pub fn measured_rate(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let seconds = last.saturating_duration_since(*first).as_secs_f64();
        (self.state == SourceState::Live && seconds > 0.0)
            .then(|| (self.recent.len() - 1) as f64 / seconds)
    }

    pub(super) fn opened(&mut self, info: SourceInfo, frames: Option<u64>) {
        self.info = Some(info);
        self.frames_expected = frames;
        self.recent.clear();
    }

    /// `frame` came at `now`, and was not frozen; says whether the source is live only from here
    /// on.
    pub(super) fn frame(&mut self, frame: &Frame, now: Instant) -> bool {
        self.count(frame, now);
        let awoke = self.state != SourceState::Live;
        if awoke {
            self.turn(SourceState::Live, now);
            (self.code, self.reason, self.hint) = (None, None, None);
        }
        awoke
    }

    /// `frame` came at `now`.
    pub(super) fn count(&mut self, frame: &Frame, now: Instant) {
        if let Some(info) = &mut self.info {
            (info.format, info.size) = (frame.format(), frame.size());
        }
        self.frames_in += 1;
        self.last_frame_at = Some(now);
        if self.recent.len() == RATE_OVER {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// The frame that came last is frozen: the same as all before it for the time `still`. Says
    /// whether that is news.
    pub(super) fn froze(&mut self, still: Duration, now: Instant) -> bool {
        let fresh = !self.is_frozen();
        self.turn(SourceState::Stalled, now);
        let seconds = still.as_secs_f64();
        self.explain(
            FROZEN,
            format!("the picture has not changed by a single byte for {seconds:.1} s"),
            "check the camera: its driver or its recorder repeats the last picture; a picture that \
             is meant to stand still takes a longer frozen_after",
            now,
        );
        fresh
    }

    /// Whether frames come that are all the same.
    pub fn is_frozen(&self) -> bool {
        self.state == SourceState::Stalled && self.code.as_deref() == Some(FROZEN)
    }

    pub(super) fn turn(&mut self, state: SourceState, now: Instant) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    /// Something is the matter, as was noticed at `now`.
    pub(super) fn explain(
        &mut self,
        code: impl Into<Cow<'static, str>>,
        reason: String,
        hint: &str,
        now: Instant,
    ) {
        let code = code.into();
        self.last_trouble =
            Some(SourceTrouble { code: code.clone(), reason: reason.clone(), at: now });
        self.code = Some(code);
        self.reason = Some(reason);
        self.hint = (!hint.is_empty()).then(|| hint.to_owned());
    }

    pub(super) fn failed(&mut self, error: &SourceError, now: Instant) {
        let lasting = error.fault().is_lasting();
        let state = if lasting { SourceState::Failed } else { SourceState::Reconnecting };
        self.turn(state, now);
        self.explain(error.code(), error.reason().to_owned(), error.hint_text(), now);
    }

    /// How long ago the last frame came.
    pub fn last_frame_age(&self, now: Instant) -> Option<Duration> {
        self.last_frame_at.map(|at| now.saturating_duration_since(at))
    }
}

impl SourceState {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Opening, Self::Live, Self::Stalled, Self::Reconnecting, Self::Ended, Self::Failed];

    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Live => "live",
            Self::Stalled => "stalled",
            Self::Reconnecting => "reconnecting",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

impl SessionState {
    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Opening => "opening",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Closed => "closed",
        }
    }
}

/// The code of a source that repeats itself.
const FROZEN: &str = "source.frozen";
/// Frames over which the rate is measured.
const RATE_OVER: usize = 64;

#[cfg(test)]
mod tests {
    use keepsight_contract::{FrameSize, PixelFormat, SourceFault, testing};

    use super::*;

    fn frame() -> Frame {
        testing::frames::gray(4, 2, |_, _| 0)
    }

    #[test]
    fn size_and_format_are_those_of_the_newest_frame() {
        let mut status = StreamStatus::new(Instant::now());
        status.opened(
            SourceInfo {
                device: "a folder".to_owned(),
                stable_id: None,
                format: PixelFormat::Mjpeg,
                size: FrameSize::new(64, 48),
                rate: None,
                live: false,
            },
            None,
        );
        status.frame(&frame(), Instant::now());
        let info = status.info.unwrap();
        assert_eq!((info.format, info.size), (PixelFormat::Gray, FrameSize::new(4, 2)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_frames() {
        let start = Instant::now();
        let mut status = StreamStatus::new(start);
        assert_eq!(status.measured_rate(), None);
        for index in 0..200 {
            status.frame(&frame(), start + Duration::from_millis(index * 40));
        }
        let rate = status.measured_rate().unwrap();
        assert!((rate - 25.0).abs() < 1e-6, "{rate}");
        status.turn(SourceState::Stalled, start);
        assert_eq!(status.measured_rate(), None);
    }

    #[test]
    fn the_first_frame_after_trouble_clears_it() {
        let start = Instant::now();
        let mut status = StreamStatus::new(start);
        let lost = SourceError::new(SourceFault::Lost, "unplugged").hint("plug it in");
        status.failed(&lost, start);
        assert_eq!(status.state, SourceState::Reconnecting);
        assert_eq!(status.code.as_deref(), Some("source.lost"));
        let later = start + Duration::from_secs(1);
        assert!(status.frame(&frame(), later) && !status.frame(&frame(), later));
        assert_eq!((status.state, status.code, status.reason), (SourceState::Live, None, None));
        let last = status.last_trouble.unwrap();
        assert_eq!((&*last.code, &*last.reason, last.at), ("source.lost", "unplugged", start));
    }

    #[test]
    fn a_frozen_picture_is_news_once_and_ends_with_another() {
        let start = Instant::now();
        let mut status = StreamStatus::new(start);
        status.frame(&frame(), start);
        let still = Duration::from_secs(12);
        assert!(status.froze(still, start + still));
        assert!(!status.froze(still * 2, start + still * 2));
        assert_eq!((status.state, status.since), (SourceState::Stalled, start + still));
        assert_eq!(status.code.as_deref(), Some("source.frozen"));
        assert!(status.reason.as_ref().unwrap().contains("24.0 s"), "{status:?}");
        assert!(status.is_frozen() && status.frame(&frame(), start + still * 3));
        assert!(!status.is_frozen());
        assert_eq!((status.state, status.hint), (SourceState::Live, None));
    }

    #[test]
    fn a_lasting_fault_is_not_tried_again() {
        let mut status = StreamStatus::new(Instant::now());
        status.failed(&SourceError::new(SourceFault::Invalid, "no AVI"), Instant::now());
        assert_eq!(status.state, SourceState::Failed);
    }
}
