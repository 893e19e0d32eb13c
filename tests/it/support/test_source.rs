use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use keepsight_contract::{
    CallContext, CaptureWish, Frame, FrameSize, Host, PixelBuffer, PixelFormat, Source,
    SourceError, SourceEvent, SourceFault, SourceInfo, SourceUri,
};

use super::Gate;

/// A source `test:NAME?frames=N`, live unless it has a number of frames, that behaves as the
/// test's [`Switch`] of that name says.
pub(crate) struct TestSource {
    switch: Switch,
    frames: Option<u64>,
    sequence: u64,
}

/// What a [`TestSource`] does when asked.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Gives frames.
    Gives,
    /// Gives frames of this size.
    GivesSize(u32, u32),
    /// Gives the frames that this makes of their sequences.
    GivesMade(Arc<dyn Fn(u64) -> Frame + Send + Sync>),
    /// Opens and gives no frames.
    Silent,
    /// Can't be opened, or is gone.
    Fails(SourceFault),
    /// Panics when opened and when asked for a frame.
    Panics,
    /// Hangs in the driver until the gate is opened.
    Hangs(Gate),
}

/// Changes the behaviour of the sources of one name while they run.
#[derive(Clone)]
pub(crate) struct Switch(Arc<Mutex<Behaviour>>, Arc<AtomicUsize>);

static SWITCHES: Mutex<BTreeMap<String, Switch>> = Mutex::new(BTreeMap::new());

impl Switch {
    pub(crate) fn named(name: &str, behaviour: Behaviour) -> Self {
        let switch = Self(Arc::new(Mutex::new(behaviour)), Arc::default());
        SWITCHES.lock().unwrap().insert(name.to_owned(), switch.clone());
        switch
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.0.lock().unwrap() = behaviour;
    }

    /// How many sources of the name are open now.
    pub(crate) fn open_count(&self) -> usize {
        self.1.load(SeqCst)
    }

    fn behaviour(&self) -> Behaviour {
        self.0.lock().unwrap().clone()
    }

    fn act(&self) -> Result<(), SourceError> {
        match self.behaviour() {
            Behaviour::Fails(fault) => {
                Err(SourceError::new(fault, "the test says so").hint("ask the test"))
            }
            Behaviour::Panics => panic!("the test's driver panics"),
            Behaviour::Hangs(gate) => {
                gate.wait();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Source for TestSource {
    fn open(
        uri: &SourceUri,
        _: &CaptureWish,
        _: &CallContext,
        _: &Host,
    ) -> Result<Self, SourceError> {
        uri.expect_params(&["frames"])?;
        let frames = uri.parsed_param("frames", "a number of frames")?;
        let known = SWITCHES.lock().unwrap().get(uri.path()).cloned();
        let switch = known.unwrap_or_else(|| Switch::named(uri.path(), Behaviour::Gives));
        switch.act()?;
        switch.1.fetch_add(1, SeqCst);
        Ok(Self { switch, frames, sequence: 0 })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: "test".to_owned(),
            stable_id: None,
            format: PixelFormat::Gray,
            size: SIZE,
            rate: Some(200.0),
            live: self.frames.is_none(),
        }
    }

    fn next(&mut self, _: &CallContext) -> Result<SourceEvent, SourceError> {
        self.switch.act()?;
        let size = match self.switch.behaviour() {
            Behaviour::Silent => {
                thread::sleep(PACE);
                return Ok(SourceEvent::Pending);
            }
            Behaviour::GivesSize(width, height) => FrameSize::new(width, height),
            _ => SIZE,
        };
        if self.frames.is_some_and(|frames| self.sequence == frames) {
            return Ok(SourceEvent::Ended);
        }
        if self.frames.is_none() {
            thread::sleep(PACE);
        }
        if let Behaviour::GivesMade(make) = self.switch.behaviour() {
            let frame = make(self.sequence).renumbered(self.sequence);
            self.sequence += 1;
            return Ok(SourceEvent::Frame(frame));
        }
        let pixels = PixelBuffer::from(vec![self.sequence as u8; size.pixel_count() as usize]);
        let frame = Frame::builder(PixelFormat::Gray, size, pixels).sequence(self.sequence);
        self.sequence += 1;
        Ok(SourceEvent::Frame(frame.build().unwrap()))
    }
}

impl Drop for TestSource {
    fn drop(&mut self) {
        self.switch.1.fetch_sub(1, SeqCst);
    }
}

const SIZE: FrameSize = FrameSize::new(16, 8);
/// A live source's pause between frames.
const PACE: Duration = Duration::from_millis(5);
