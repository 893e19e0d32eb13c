//! A whole process in a test: a configuration, plugins and sources that do what the test says,
//! the real runtime, the real server.

pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod gate;
pub(crate) mod scripted;
pub(crate) mod site;
pub(crate) mod test_source;

pub(crate) use clock::ManualClock;
pub(crate) use gate::Gate;
pub(crate) use scripted::Script;
pub(crate) use site::Site;
pub(crate) use test_source::{Behaviour, Switch};
