use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Who gave wrong keys of late. Whoever gave too many is not heard for a while, whatever they
/// give, so that a key can't be found by trying; others are.
///
/// Bounded: of too many addresses, the one with the fewest wrong keys is forgotten.
pub(super) struct KeyTries {
    /// Wrong keys that are forgiven in a minute, and that may be given in a row.
    wrong_per_minute: f64,
    addresses: Mutex<HashMap<IpAddr, Wrong>>,
}

/// What an address has on its account: one for each wrong key, less what was forgiven since.
#[derive(Clone, Copy)]
struct Wrong {
    keys: f64,
    at: Instant,
}

impl KeyTries {
    pub(super) fn new(wrong_per_minute: usize) -> Self {
        Self { wrong_per_minute: wrong_per_minute as f64, addresses: Mutex::default() }
    }

    /// Whether the key that `peer` gives at `now` is right, as `is_right` says; it isn't asked
    /// where `peer` gave too many wrong ones. A peer that is not known is always heard.
    ///
    /// # Errors
    /// How long `peer` must wait.
    pub(super) fn hear(
        &self,
        peer: Option<IpAddr>,
        now: Instant,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let Some(address) = peer.map(counted) else { return Ok(is_right()) };
        // One at a time: many at once are not to be heard before the first is counted.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = addresses.get(&address).map_or(0.0, |wrong| self.left(wrong, now));
        let beyond = known - (self.wrong_per_minute - 1.0);
        if beyond > 0.0 {
            return Err(Duration::from_secs_f64(beyond / self.forgiven_per_second()));
        }
        if is_right() {
            return Ok(true);
        }
        if !addresses.contains_key(&address) && addresses.len() >= ADDRESSES_MAX {
            self.make_room(&mut addresses, now);
        }
        addresses.insert(address, Wrong { keys: known + 1.0, at: now });
        Ok(false)
    }

    fn make_room(&self, addresses: &mut HashMap<IpAddr, Wrong>, now: Instant) {
        addresses.retain(|_, wrong| self.left(wrong, now) > 0.0);
        if addresses.len() >= ADDRESSES_MAX {
            let least = addresses
                .iter()
                .min_by(|(_, a), (_, b)| self.left(a, now).total_cmp(&self.left(b, now)))
                .map(|(address, _)| *address);
            if let Some(address) = least {
                addresses.remove(&address);
            }
        }
    }

    fn left(&self, wrong: &Wrong, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(wrong.at).as_secs_f64();
        (wrong.keys - seconds * self.forgiven_per_second()).max(0.0)
    }

    fn forgiven_per_second(&self) -> f64 {
        self.wrong_per_minute / 60.0
    }
}

/// The address that stands for the peer: whoever has an IPv6 address has 2^64 of them.
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

const ADDRESSES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        tries: KeyTries,
        now: Instant,
    }

    impl Bench {
        fn hear(&self, peer: &str, right: bool) -> Result<bool, u64> {
            let heard = self.tries.hear(Some(peer.parse().unwrap()), self.now, || right);
            heard.map_err(|wait| wait.as_secs_f64().ceil() as u64)
        }
    }

    fn bench() -> Bench {
        Bench { tries: KeyTries::new(10), now: Instant::now() }
    }

    #[test]
    fn who_gave_too_many_wrong_keys_waits_and_others_do_not() {
        let mut bench = bench();
        for _ in 0..10 {
            assert_eq!(bench.hear("192.0.2.1", false), Ok(false));
        }
        assert_eq!(bench.hear("192.0.2.1", false), Err(6));
        // Nor is the right one heard: else it could be found.
        assert_eq!(bench.hear("192.0.2.1", true), Err(6));
        assert_eq!(bench.hear("::ffff:192.0.2.1", true), Err(6));
        assert_eq!(bench.hear("192.0.2.2", true), Ok(true));
        bench.now += Duration::from_secs(6);
        assert_eq!(bench.hear("192.0.2.1", true), Ok(true));
        assert_eq!(bench.hear("192.0.2.1", false), Ok(false));
        assert_eq!(bench.hear("192.0.2.1", true), Err(6));
    }

    #[test]
    fn right_keys_and_forgotten_wrong_ones_count_for_nothing() {
        let mut bench = bench();
        for _ in 0..100 {
            assert_eq!(bench.hear("192.0.2.1", true), Ok(true));
            assert_eq!(bench.hear("192.0.2.1", false), Ok(false));
            bench.now += Duration::from_secs(6);
        }
    }

    #[test]
    fn neighbours_in_ipv6_are_one() {
        let bench = bench();
        for index in 0..10 {
            assert_eq!(bench.hear(&format!("2001:db8::{index}"), false), Ok(false));
        }
        assert_eq!(bench.hear("2001:db8::aaaa", true), Err(6));
        assert_eq!(bench.hear("2001:db8:0:1::1", true), Ok(true));
    }

    #[test]
    fn addresses_are_bounded_and_the_worst_is_remembered() {
        let bench = bench();
        for _ in 0..10 {
            assert_eq!(bench.hear("192.0.2.1", false), Ok(false));
        }
        for index in 0..2 * ADDRESSES_MAX {
            let address = format!("10.0.{}.{}", index / 256, index % 256);
            assert_eq!(bench.hear(&address, false), Ok(false));
        }
        assert!(bench.tries.addresses.lock().unwrap().len() <= ADDRESSES_MAX);
        assert_eq!(bench.hear("192.0.2.1", true), Err(6));
    }
}
