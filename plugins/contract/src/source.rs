use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{CallContext, Frame, FrameSize, Host, PixelFormat, SourceUri, SourceUriError};

/// Where frames come from. It is opened, used and dropped on one thread.
pub trait Source: Sized + 'static {
    /// Opens what `uri` names, as near to `wish` as it can be. Who waits for something here looks
    /// at `call` at least four times a second: it says how long there is, and whether the stream
    /// has been stopped meanwhile.
    ///
    /// # Errors
    /// [`SourceError`]; the runtime tries again unless its fault is a lasting one.
    fn open(
        uri: &SourceUri,
        wish: &CaptureWish,
        call: &CallContext,
        host: &Host,
    ) -> Result<Self, SourceError>;

    /// What was opened.
    fn info(&self) -> SourceInfo;

    /// Waits for the next frame, at most a quarter of a second.
    ///
    /// # Errors
    /// [`SourceError`]; the source is closed then and opened again, unless the fault lasts.
    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError>;

    /// How many frames there are from the first to the last, as far as is known when it was
    /// opened; no promise.
    fn frames(&self) -> Option<u64> {
        None
    }

    /// Gives back what was opened.
    ///
    /// # Errors
    /// [`SourceError`] when something could not be given back.
    fn close(self) -> Result<(), SourceError> {
        Ok(())
    }

    /// What there is to open.
    ///
    /// # Errors
    /// [`SourceError`] when the system can't say.
    fn devices() -> Result<Vec<DeviceListing>, SourceError> {
        Ok(Vec::new())
    }
}

/// What came of waiting for a frame.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceEvent {
    /// A frame.
    Frame(Frame),
    /// Nothing yet; ask again.
    Pending,
    /// The first frame of another round of a source that begins anew: sessions are reopened.
    Restarted(Frame),
    /// There will be no more.
    Ended,
}

/// What is wished of a source; what was taken is in [`SourceInfo`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureWish {
    /// Width and height, in pixels.
    pub size: Option<FrameSize>,
    /// Frames a second.
    pub rate: Option<f64>,
    /// How fast a source that could give frames at any time gives them.
    pub pace: Pace,
}

/// How fast a source that could give frames at any time gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// At its own frame rate.
    #[default]
    Native,
    /// As fast as they are taken.
    Unpaced,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// Name of the device or file, for people.
    pub device: String,
    /// What names the same device after it was unplugged and plugged in again.
    pub stable_id: Option<String>,
    /// Format of the frames.
    pub format: PixelFormat,
    /// Size of the frames.
    pub size: FrameSize,
    /// Frames a second, where the source knows.
    pub rate: Option<f64>,
    /// Whether frames come as they happen; then none may be waited for, and the source is opened
    /// again when it ends.
    pub live: bool,
}

/// Why a source gives no frames.
#[derive(Debug)]
pub struct SourceError {
    fault: SourceFault,
    reason: String,
    hint: Cow<'static, str>,
}

/// What kind of trouble a source is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceFault {
    /// There is no such device or file.
    NotFound,
    /// Somebody else uses it.
    Busy,
    /// It may not be opened.
    Denied,
    /// It was there and is gone.
    Lost,
    /// It is there, but no frames come.
    Stalled,
    /// What it gives is damaged, or the URI is wrong; trying again won't help.
    Invalid,
    /// It can't give what is needed; trying again won't help.
    Unsupported,
    /// Anything else.
    Failed,
}

/// Something that can be opened as a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceListing {
    /// What to write in a configuration: it names the same device tomorrow.
    pub uri: String,
    /// A shorter name that may change, such as `camera:0`.
    pub alias: Option<String>,
    /// Name for people.
    pub name: String,
    /// Where it is plugged in, where that is known.
    pub location: Option<String>,
    /// What it offers.
    pub formats: Vec<DeviceFormat>,
    /// Who uses it now, where that can be seen: process and its number.
    pub holder: Option<String>,
    /// What keeps it from being opened by us, if anything.
    pub trouble: Option<String>,
}

/// Something that a device offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceFormat {
    /// The format's name as the device has it, such as `YUYV`.
    pub format: String,
    /// Whether Keepsight can read it.
    pub supported: bool,
    /// Size, in pixels.
    pub size: FrameSize,
    /// Frames a second, the fastest first.
    pub rates: Vec<f64>,
}

impl SourceFault {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "source.not_found",
            Self::Busy => "source.busy",
            Self::Denied => "source.denied",
            Self::Lost => "source.lost",
            Self::Stalled => "source.stalled",
            Self::Invalid => "source.invalid",
            Self::Unsupported => "source.unsupported",
            Self::Failed => "source.failed",
        }
    }

    /// Whether opening the source again can't help.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Invalid | Self::Unsupported)
    }
}

impl SourceError {
    /// Trouble of the kind `fault`; `reason` says which (lower case, no full stop).
    pub fn new(fault: SourceFault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into(), hint: Cow::Borrowed("") }
    }

    /// Says what a person can do about it.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// What kind of trouble it is.
    pub fn fault(&self) -> SourceFault {
        self.fault
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// What is the matter.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What a person can do about it; may be empty.
    pub fn hint_text(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SourceError {}

impl From<SourceUriError> for SourceError {
    fn from(error: SourceUriError) -> Self {
        let hint = match &error {
            SourceUriError::NoScheme(_) => "write what brings the pictures, a colon, and which",
            SourceUriError::UnknownParam { .. } => "take one of those, or leave it out",
            SourceUriError::BadParam { .. } => "correct it, or leave it out",
        };
        Self::new(SourceFault::Invalid, error.to_string()).hint(hint)
    }
}

/// A source of any kind.
pub trait ErasedSource {
    /// [`Source::info`].
    fn info(&self) -> SourceInfo;

    /// [`Source::next`].
    ///
    /// # Errors
    /// As [`Source::next`].
    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError>;

    /// [`Source::frames`].
    fn frames(&self) -> Option<u64>;

    /// [`Source::close`].
    ///
    /// # Errors
    /// As [`Source::close`].
    fn close(self: Box<Self>) -> Result<(), SourceError>;
}

impl<S: Source> ErasedSource for S {
    fn info(&self) -> SourceInfo {
        Source::info(self)
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        Source::next(self, call)
    }

    fn frames(&self) -> Option<u64> {
        Source::frames(self)
    }

    fn close(self: Box<Self>) -> Result<(), SourceError> {
        Source::close(*self)
    }
}
