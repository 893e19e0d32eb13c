use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use keepsight_contract::Host;
use keepsight_gpu::{Device, GpuFault};

use super::choice::GpuWish;
use super::gpu::GpuDetect;
use super::session::DetectPath;
use crate::detect::executor::{GpuNetwork, Plan};
use crate::preprocess::{GpuPreprocess, ModelInput, Preprocessor};

/// An instance's device, and the way to another one when it is lost.
///
/// A device is given up when it has a fault, or when a session's thread has not come back from it
/// by its deadline: that thread was abandoned in the middle of its commands, and must not share the
/// device with its successor. A new one is opened after a while, on a thread of its own, for that
/// may take longer than a frame has.
#[derive(Debug)]
pub(super) struct Seat {
    wish: GpuWish,
    input: ModelInput,
    /// The whole network, or nothing but frames fitted into its input.
    plan: Option<Arc<Plan>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seated: Seated,
    /// Which of the devices that there were it is.
    generation: u64,
    opened: Instant,
    back_off: Duration,
    /// Before then no other device is asked for.
    due: Instant,
    leases: Vec<Weak<Lease>>,
}

#[derive(Debug)]
enum Seated {
    Ready(OpenDevice),
    /// Somebody is at it.
    Opening,
    Lost,
}

/// A device, and the network on it.
#[derive(Debug, Clone)]
pub(super) struct OpenDevice {
    pub(super) device: Device,
    pub(super) network: Option<GpuNetwork>,
}

/// One session's use of a device.
#[derive(Debug)]
pub(super) struct Lease {
    generation: u64,
    /// Until when it is waited for; none while it is not.
    busy_until: Mutex<Option<Instant>>,
}

impl Lease {
    /// Before a session waits for the device.
    pub(super) fn begin(&self, deadline: Instant) {
        *self.lock() = Some(deadline);
    }

    /// After it has.
    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.busy_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenDevice {
    /// Brings a network to a device, where there is one to bring.
    pub(super) fn new(device: Device, plan: Option<&Plan>) -> Result<Self, String> {
        let network = plan.map(|plan| GpuNetwork::new(&device, plan)).transpose();
        let network = network.map_err(|error| error.to_string())?;
        Ok(Self { device, network })
    }

    /// A session's path on it.
    pub(super) fn path(&self, input: &ModelInput) -> Result<DetectPath, GpuFault> {
        Ok(match &self.network {
            Some(network) => DetectPath::Gpu(Box::new(GpuDetect::new(network, input)?)),
            None => {
                let path = GpuPreprocess::new(&self.device, input)?;
                DetectPath::Engine(Box::new(Preprocessor::Gpu(path)))
            }
        })
    }
}

impl Seat {
    pub(super) fn new(
        wish: GpuWish,
        input: ModelInput,
        plan: Option<Arc<Plan>>,
        open: OpenDevice,
    ) -> Self {
        let now = Instant::now();
        let state = State {
            seated: Seated::Ready(open),
            generation: 0,
            opened: now,
            back_off: BACK_OFF_MIN,
            due: now,
            leases: Vec::new(),
        };
        Self { wish, input, plan, state: Mutex::new(state) }
    }

    /// The device that there is now.
    pub(super) fn device(&self) -> Option<Device> {
        match &self.lock().seated {
            Seated::Ready(open) => Some(open.device.clone()),
            _ => None,
        }
    }

    /// A path on the device, with the lease that it is used under; or why there is none, and then
    /// another device is being opened, as soon as it is due.
    pub(super) fn take(self: &Arc<Self>, host: &Host) -> Result<(DetectPath, Arc<Lease>), String> {
        let now = Instant::now();
        let (open, lease) = {
            let mut state = self.lock();
            self.give_up_abandoned(&mut state, now);
            let Seated::Ready(open) = &state.seated else {
                return Err(self.wait_for_another(state, host, now));
            };
            let open = open.clone();
            let lease =
                Arc::new(Lease { generation: state.generation, busy_until: Mutex::default() });
            state.leases.retain(|lease| lease.strong_count() > 0);
            state.leases.push(Arc::downgrade(&lease));
            (open, lease)
        };
        match open.path(&self.input) {
            Ok(path) => Ok((path, lease)),
            Err(fault) => {
                self.lost(&lease);
                Err(fault.to_string())
            }
        }
    }

    /// Whether a session that is on the CPU should ask again.
    pub(super) fn is_due(&self) -> bool {
        let state = self.lock();
        match state.seated {
            Seated::Ready(_) => true,
            Seated::Opening => false,
            Seated::Lost => Instant::now() >= state.due,
        }
    }

    /// Notes that the device of this lease is of no use any more.
    pub(super) fn lost(&self, lease: &Lease) {
        let mut state = self.lock();
        if state.generation == lease.generation {
            state.give_up(Instant::now());
        }
    }

    /// Gives up a device that somebody has waited for beyond every deadline.
    fn give_up_abandoned(&self, state: &mut State, now: Instant) {
        let generation = state.generation;
        let is_abandoned = |lease: &Lease| {
            let until = *lease.lock();
            lease.generation == generation && until.is_some_and(|until| until + GRACE < now)
        };
        if state.leases.iter().filter_map(Weak::upgrade).any(|lease| is_abandoned(&lease)) {
            tracing::warn!("a GPU device was given up, for a thread never came back from it");
            if let Seated::Ready(open) = &state.seated {
                open.device.retire();
            }
            state.give_up(now);
            // It was not the device's fault, as far as anybody knows.
            state.due = now;
        }
    }

    /// Says what is waited for, and has a device opened if it is time.
    fn wait_for_another(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        host: &Host,
        now: Instant,
    ) -> String {
        if matches!(state.seated, Seated::Opening) {
            return "another GPU device is being opened".to_owned();
        }
        if now < state.due {
            let left = (state.due - now).as_secs() + 1;
            return format!("the GPU device was lost, another one is tried in {left} s");
        }
        state.seated = Seated::Opening;
        drop(state);
        let seat = self.clone();
        match host.spawn("gpu-device", move |_| seat.open()) {
            Ok(()) => "another GPU device is being opened".to_owned(),
            Err(error) => {
                self.opened(Err(error.to_string()));
                format!("another GPU device can't be opened: {error}")
            }
        }
    }

    fn open(&self) {
        let _attempt = Attempt(self);
        let opened = self.wish.open().map_err(|error| error.to_string());
        self.opened(opened.and_then(|device| OpenDevice::new(device, self.plan.as_deref())));
    }

    fn opened(&self, opened: Result<OpenDevice, String>) {
        let now = Instant::now();
        let mut state = self.lock();
        match opened {
            Ok(open) => {
                tracing::info!(adapter = %open.device.adapter(), "opened another GPU device");
                state.seated = Seated::Ready(open);
                state.generation += 1;
                state.opened = now;
            }
            Err(reason) => {
                tracing::warn!(reason, "no other GPU device can be opened");
                state.seated = Seated::Lost;
                state.wait_longer(now);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn hurry(&self) {
        self.lock().due = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to open a device; one that a panic ended has failed.
struct Attempt<'s>(&'s Seat);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let is_open = matches!(self.0.lock().seated, Seated::Opening);
        if is_open {
            self.0.opened(Err("opening it panicked".to_owned()));
        }
    }
}

impl State {
    fn give_up(&mut self, now: Instant) {
        if let Seated::Ready(_) = self.seated {
            // Sessions that still have it see what is wrong by themselves.
            let _ = mem::replace(&mut self.seated, Seated::Lost);
            if now.saturating_duration_since(self.opened) >= BACK_OFF_MAX {
                self.back_off = BACK_OFF_MIN;
            }
            self.wait_longer(now);
        }
    }

    fn wait_longer(&mut self, now: Instant) {
        self.due = now + self.back_off;
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }
}

/// How long a new device is waited for at first, and at most; a device that has lasted this long
/// is followed by one as soon as the first.
const BACK_OFF_MIN: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(600);

/// How long after its deadline a wait has surely ended, if it ever does.
const GRACE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::detect::path::GpuPolicy;
    use crate::preprocess::{ColorOrder, Padding};

    #[test]
    fn an_attempt_that_panics_has_failed() {
        let policy = GpuPolicy::Required;
        let wish = GpuWish { policy, adapter: None, software_allowed: true };
        let Ok(device) = wish.open() else {
            eprintln!("skipped an_attempt_that_panics_has_failed: no graphics adapter");
            return;
        };
        let input = ModelInput {
            width: 32,
            height: 32,
            color_order: ColorOrder::Rgb,
            scale: 1.0,
            offset: 0.0,
            padding: Padding::Stretch,
        };
        let seat = Seat::new(wish, input, None, OpenDevice { device, network: None });
        seat.lock().seated = Seated::Opening;
        assert!(!seat.is_due(), "somebody is at it");
        let attempt = || {
            let _attempt = Attempt(&seat);
            panic!("as a driver may");
        };
        thread::scope(|scope| scope.spawn(attempt).join()).unwrap_err();
        assert!(matches!(seat.lock().seated, Seated::Lost));
        assert!(!seat.is_due());
        seat.hurry();
        assert!(seat.is_due(), "and is made again");
    }
}
