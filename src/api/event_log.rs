use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::health::utc;

/// What happened of late, numbered, for those who follow it.
///
/// Bounded: old events make room for new ones. Room is made where most events are: what a plugin
/// publishes itself, and what is said of it, are an account each, and of the largest account the
/// oldest event goes. So one that chatters pushes out its own chatter and nothing else.
///
/// Publishing takes a short lock and waits for nobody, whoever follows.
pub struct EventLog {
    /// Tells numbers of this process from those of another life of it.
    epoch: u32,
    parts: Mutex<Parts>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Parts {
    /// By their numbers, with gaps where events have gone.
    events: BTreeMap<u64, Arc<Event>>,
    /// The numbers of each account's events, oldest first; none is empty.
    accounts: BTreeMap<Account, VecDeque<u64>>,
    /// Of the newest event; 0 before the first.
    newest: u64,
}

/// Whose events share their room: the plugin or stream, and whether they are of its own telling.
type Account = (Option<String>, bool);

/// Something that happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) number: u64,
    kind: EventKind,
    plugin: Option<String>,
    stream: Option<String>,
    /// JSON in one line.
    data: String,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A plugin came into another state.
    PluginState,
    /// A plugin's session, call or thread ended by a fault.
    Fault,
    /// A stream came into another state.
    StreamState,
    /// A plugin published something itself, such as the start of a track.
    PluginEvent,
    /// The configuration was read again, and what it says is in force.
    ConfigApplied,
    /// The configuration was read again, and nothing was changed, since it is wrong.
    ConfigRefused,
}

/// Events that follow upon a number.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) events: Vec<Arc<Event>>,
    /// Events before the last of them that the log no longer holds.
    pub(super) missed: u64,
    /// The number to go on from.
    pub(super) seen: u64,
}

/// Where in the events a follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind the event of this number.
    Behind(u64),
    /// At no place that this log ever had.
    Unknown,
}

/// Which events a follower wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventFilter {
    pub(super) plugin: Option<String>,
    pub(super) stream: Option<String>,
}

impl EventLog {
    /// Events that are kept.
    pub const LENGTH: usize = 1024;

    /// Notes that something of `kind` happened with `plugin` on `stream`; `data` says what. Of
    /// data that is too long nothing but that is kept.
    pub fn publish(
        &self,
        kind: EventKind,
        plugin: Option<&str>,
        stream: Option<&str>,
        data: Map<String, Value>,
    ) {
        let time = utc(SystemTime::now());
        let mut body = json!({ "time": time, "plugin": plugin, "stream": stream });
        let with_data = {
            let mut body = body.clone();
            data.into_iter().for_each(|(name, value)| body[name] = value);
            body.to_string()
        };
        let data = if with_data.len() <= DATA_BYTES_MAX {
            with_data
        } else {
            body["truncated"] = true.into();
            body.to_string()
        };
        let owned = |name: Option<&str>| name.map(str::to_owned);
        let (plugin, stream) = (owned(plugin), owned(stream));
        let mut parts = self.parts();
        parts.newest += 1;
        let number = parts.newest;
        let gone = (parts.events.len() == Self::LENGTH).then(|| parts.make_room());
        let owner = plugin.clone().or_else(|| stream.clone());
        let account = (owner, kind == EventKind::PluginEvent);
        parts.accounts.entry(account).or_default().push_back(number);
        parts.events.insert(number, Arc::new(Event { number, kind, plugin, stream, data }));
        // Under the lock, so that numbers are told in their order.
        self.newest.send_replace(number);
        drop(parts);
        drop(gone);
    }

    /// How many events there ever were.
    pub fn count(&self) -> u64 {
        self.parts().newest
    }

    /// Changes with each event.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Events behind the number `seen`, oldest first, at most `count_max`.
    pub(super) fn behind(&self, seen: u64, count_max: usize) -> Batch {
        let parts = self.parts();
        let held = parts.events.range(seen + 1..).take(count_max);
        let events: Vec<_> = held.map(|(_, event)| event.clone()).collect();
        let last = events.last().map_or(parts.newest.max(seen), |event| event.number);
        let missed = (last - seen).saturating_sub(events.len() as u64);
        Batch { events, missed, seen: last }
    }

    /// How many events behind the number `seen` the log no longer holds, and the newest's number.
    pub(super) fn missed_behind(&self, seen: u64) -> (u64, u64) {
        let parts = self.parts();
        let held = parts.events.range(seen + 1..).count() as u64;
        (parts.newest.saturating_sub(seen).saturating_sub(held), parts.newest)
    }

    /// What followers give back to go on behind the event `number`.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{:08x}-{number}", self.epoch)
    }

    /// The place that such an id means.
    pub(super) fn place(&self, id: &str) -> Place {
        let number = id.split_once('-').and_then(|(epoch, number)| {
            let known = u32::from_str_radix(epoch, 16) == Ok(self.epoch);
            number.parse().ok().filter(|_| known)
        });
        match number {
            Some(number) if number <= self.count() => Place::Behind(number),
            _ => Place::Unknown,
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    /// Takes the oldest event of the largest account out; of several, the one whose oldest event
    /// is older.
    fn make_room(&mut self) -> Option<Arc<Event>> {
        let size = |numbers: &VecDeque<u64>| (numbers.len(), std::cmp::Reverse(numbers[0]));
        let largest = self.accounts.iter().max_by_key(|(_, numbers)| size(numbers));
        let account = largest.map(|(account, _)| account.clone())?;
        let numbers = self.accounts.get_mut(&account)?;
        let number = numbers.pop_front()?;
        if numbers.is_empty() {
            self.accounts.remove(&account);
        }
        self.events.remove(&number)
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            // The standard library's hasher begins with numbers from the system's random source.
            epoch: RandomState::new().hash_one(SystemTime::now()) as u32,
            parts: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl Event {
    /// As a server-sent event (HTML Living Standard, 9.2.5).
    pub(super) fn text(&self, id: &str) -> String {
        format!("id: {id}\nevent: {}\ndata: {}\n\n", self.kind.as_str(), self.data)
    }
}

impl EventKind {
    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PluginState => "plugin_state",
            Self::Fault => "fault",
            Self::StreamState => "stream_state",
            Self::PluginEvent => "plugin_event",
            Self::ConfigApplied => "config.applied",
            Self::ConfigRefused => "config.refused",
        }
    }
}

impl EventFilter {
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.fits(event.plugin.as_deref(), event.stream.as_deref())
    }

    /// Whether something of `plugin` on `stream` is wanted.
    pub(super) fn wants_names(&self, plugin: &str, stream: &str) -> bool {
        self.fits(Some(plugin), Some(stream))
    }

    fn fits(&self, plugin: Option<&str>, stream: Option<&str>) -> bool {
        let fits = |wanted: &Option<String>, found| wanted.is_none() || wanted.as_deref() == found;
        fits(&self.plugin, plugin) && fits(&self.stream, stream)
    }
}

/// Of one event. With the log's length, events take at most 8 MiB.
const DATA_BYTES_MAX: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(log: &EventLog, plugin: &str, count: u64) {
        publish_as(log, EventKind::Fault, plugin, count);
    }

    fn publish_as(log: &EventLog, kind: EventKind, plugin: &str, count: u64) {
        for index in 0..count {
            let data = Map::from_iter([("index".to_owned(), index.into())]);
            log.publish(kind, Some(plugin), None, data);
        }
    }

    #[track_caller]
    fn check(log: &EventLog, seen: u64, numbers: impl IntoIterator<Item = u64>, missed: u64) {
        let batch = log.behind(seen, 3);
        let found: Vec<_> = batch.events.iter().map(|event| event.number).collect();
        assert_eq!((found, batch.missed), (numbers.into_iter().collect(), missed), "{seen}");
    }

    #[test]
    fn events_come_in_their_order_and_the_oldest_go() {
        let log = EventLog::default();
        check(&log, 0, [], 0);
        publish(&log, "a", 4);
        check(&log, 0, 1..=3, 0);
        check(&log, 3, [4], 0);
        check(&log, 4, [], 0);
        let length = EventLog::LENGTH as u64;
        publish(&log, "a", length - 2);
        check(&log, 0, 3..=5, 2);
        let missed = [0, 1, 2].map(|seen| log.missed_behind(seen));
        assert_eq!(missed, [2, 1, 0].map(|missed| (missed, length + 2)));
        check(&log, 2, 3..=5, 0);
        check(&log, length + 2, [], 0);
        assert_eq!(log.count(), length + 2);
    }

    #[test]
    fn who_chatters_pushes_out_their_own_chatter() {
        let log = EventLog::default();
        let length = EventLog::LENGTH as u64;
        publish_as(&log, EventKind::PluginState, "chatty", 1);
        publish(&log, "quiet", 2);
        publish_as(&log, EventKind::PluginEvent, "chatty", 3 * length);
        check(&log, 0, 1..=3, 0);
        // Of the chatter the newest is there, and what is missing is said.
        let missed = 2 * length + 3;
        assert_eq!(log.missed_behind(0), (missed, 3 * length + 3));
        let batch = log.behind(3, 2);
        let numbers: Vec<_> = batch.events.iter().map(|event| event.number).collect();
        assert_eq!((numbers, batch.missed), (vec![missed + 4, missed + 5], missed));
        assert_eq!(batch.seen, missed + 5);

        // Two that chatter share the room.
        publish_as(&log, EventKind::PluginEvent, "other", 3 * length);
        let parts = log.parts();
        let share = |plugin: &str| parts.accounts[&(Some(plugin.to_owned()), true)].len() as u64;
        assert_eq!(parts.events.len(), EventLog::LENGTH);
        assert!(share("chatty").abs_diff(share("other")) <= 1);
    }

    #[test]
    fn an_id_means_its_place_in_this_life_of_the_process() {
        let (log, other) = (EventLog::default(), EventLog::default());
        publish(&log, "a", 2);
        publish(&other, "a", 2);
        assert_eq!(log.place(&log.id(1)), Place::Behind(1));
        assert_eq!(log.place(&log.id(0)), Place::Behind(0));
        for odd in [&log.id(3), &other.id(1), "", "1", "-1", "x-1", "00000000-99999999999999999999"]
        {
            assert_eq!(log.place(odd), Place::Unknown, "{odd}");
        }
    }

    #[test]
    fn an_event_is_one_line_of_data_and_bounded() {
        let log = EventLog::default();
        let text = |value: &str| {
            let data = Map::from_iter([("reason".to_owned(), value.into())]);
            log.publish(EventKind::StreamState, None, Some("door"), data);
            let event = log.behind(log.count() - 1, 1).events[0].clone();
            event.text("7")
        };
        let short = text("a\nb\r\u{2028}");
        let [id, kind, data, "", ""] = short.split('\n').collect::<Vec<_>>()[..] else {
            panic!("{short:?}");
        };
        assert_eq!((id, kind), ("id: 7", "event: stream_state"));
        assert!(!data.contains('\r'), "{data:?}");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&data["reason"], &data["stream"]), (&"a\nb\r\u{2028}".into(), &"door".into()));

        let long = text(&"x".repeat(DATA_BYTES_MAX));
        assert!(long.len() < 200 && long.contains("\"truncated\":true"), "{long}");
    }

    #[test]
    fn a_filter_lets_pass_what_was_asked_for() {
        let log = EventLog::default();
        log.publish(EventKind::Fault, Some("a"), Some("door"), Map::new());
        let event = log.behind(0, 1).events[0].clone();
        let filter = |plugin: Option<&str>, stream: Option<&str>| EventFilter {
            plugin: plugin.map(str::to_owned),
            stream: stream.map(str::to_owned),
        };
        for (filter, expected) in [
            (filter(None, None), true),
            (filter(Some("a"), None), true),
            (filter(Some("a"), Some("door")), true),
            (filter(Some("b"), Some("door")), false),
            (filter(None, Some("yard")), false),
        ] {
            assert_eq!(filter.wants(&event), expected, "{filter:?}");
        }
    }
}
