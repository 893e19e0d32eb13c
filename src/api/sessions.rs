use std::{
    fs::File,
    io::{self, Read as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{HeaderMap, header::COOKIE};
use sha2::{Digest as _, Sha256};

/// The cookies that stand for the key, in memory: they end with the process.
///
/// Bounded: of too many, the one that was used longest ago ends.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

struct Session {
    /// Of its token. What is looked for is hashed too, so how long a comparison takes says
    /// nothing of the token.
    digest: [u8; 32],
    begun: Instant,
    used: Instant,
}

impl Sessions {
    /// Begins a session; gives the value of `Set-Cookie`. With `secure`, browsers send the cookie
    /// over TLS alone.
    ///
    /// # Errors
    /// When the system has no random numbers to give.
    pub(super) fn begin(&self, secure: bool) -> io::Result<String> {
        let mut token = [0; 32];
        File::open(RANDOM)?.read_exact(&mut token)?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(token);
        let now = Instant::now();
        let mut sessions = self.sessions();
        sessions.retain(|session| !session.is_over(now));
        if sessions.len() == SESSIONS_MAX
            && let Some(oldest) = (0..sessions.len()).min_by_key(|index| sessions[*index].used)
        {
            sessions.swap_remove(oldest);
        }
        sessions.push(Session { digest: digest(&token), begun: now, used: now });
        Ok(cookie(&token, LIFE, secure))
    }

    /// Whether the request has a session's cookie.
    pub(super) fn know(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        let mut sessions = self.sessions();
        let mut known = false;
        for digest in tokens(headers).map(digest) {
            let found = sessions.iter_mut().find(|session| session.digest == digest);
            if let Some(session) = found.filter(|session| !session.is_over(now)) {
                session.used = now;
                known = true;
            }
        }
        known
    }

    /// Ends the session whose cookie the request has; gives the value of `Set-Cookie`.
    pub(super) fn end(&self, headers: &HeaderMap) -> String {
        for digest in tokens(headers).map(digest) {
            self.sessions().retain(|session| session.digest != digest);
        }
        cookie("", Duration::ZERO, false)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= LIFE
    }
}

/// Values of our cookie, of which a browser sends one.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.trim() == NAME).map(|(_, value)| value.trim()).take(TOKENS_MAX)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn cookie(token: &str, life: Duration, secure: bool) -> String {
    let (seconds, secure) = (life.as_secs(), if secure { "; Secure" } else { "" });
    format!("{NAME}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

const NAME: &str = "keepsight_session";
/// What the kernel gives here doesn't run out (random(4)).
const RANDOM: &str = "/dev/urandom";
const SESSIONS_MAX: usize = 64;
/// Values that are looked at in a request.
const TOKENS_MAX: usize = 4;
/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn sent_back(set_cookie: &str) -> HeaderMap {
        let pair = set_cookie.split(';').next().unwrap();
        let line = format!("other=1; {pair}");
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&line).unwrap())])
    }

    #[test]
    fn a_session_is_known_until_it_ends() {
        let sessions = Sessions::default();
        let cookie = sessions.begin(false).unwrap();
        let (pair, rest) = cookie.split_once(';').unwrap();
        assert_eq!(pair.len(), "keepsight_session=".len() + 43, "{pair}");
        assert_eq!(rest, " Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
        assert!(sessions.begin(true).unwrap().ends_with("; Secure"));
        let headers = sent_back(&cookie);
        assert!(sessions.know(&headers));
        let cleared = sessions.end(&headers);
        assert!(cleared.starts_with("keepsight_session=; "), "{cleared}");
        assert!(cleared.ends_with("Max-Age=0"), "{cleared}");
        assert!(!sessions.know(&headers));
    }

    #[test]
    fn what_was_not_given_is_not_known() {
        let sessions = Sessions::default();
        let cookie = sessions.begin(false).unwrap();
        let longer = cookie.replacen(';', "x;", 1);
        for odd in ["", "keepsight_session", "keepsight_session=", "keepsight_session=x", &longer] {
            assert!(!sessions.know(&sent_back(odd)), "{odd}");
        }
        assert!(!sessions.know(&HeaderMap::new()));
    }

    #[test]
    fn of_too_many_the_one_used_longest_ago_ends() {
        let sessions = Sessions::default();
        let cookies: Vec<_> =
            (0..SESSIONS_MAX).map(|_| sent_back(&sessions.begin(false).unwrap())).collect();
        assert!(sessions.know(&cookies[0]));
        sessions.begin(false).unwrap();
        assert!(sessions.know(&cookies[0]));
        assert!(!sessions.know(&cookies[1]));
        assert!(sessions.know(&cookies[2]));
    }
}
