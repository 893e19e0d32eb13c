//! `/v1/streams/{name}/video.mjpeg`: live pictures, each encoded once for all who look.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::{StatusCode, body::Bytes};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    Backend, LatestResult,
    answer_body::Lasting,
    snapshots::{Snapshots, View},
    status_table::SOON,
};
use crate::{config::ServerLimits, health::Reply};

/// Those who look at live pictures.
///
/// For each way of looking (stream, plugin, with or without tracks) that somebody uses there is
/// one task that has each picture encoded, on a thread that may wait, and shares it. Viewers take
/// pictures at their own pace: a slow one passes over some, and one that takes none for too long
/// is dropped.
pub(super) struct Viewers {
    backend: Arc<dyn Backend>,
    snapshots: Arc<Snapshots>,
    shows: Arc<Mutex<HashMap<View, Show>>>,
    places: Arc<Semaphore>,
    places_max: usize,
    encoders: Arc<Semaphore>,
    patience: Duration,
    stop: watch::Receiver<bool>,
}

/// The newest picture, ready to be sent; `None` before the first.
type Show = watch::Sender<Option<Bytes>>;

/// What makes the pictures of one way of looking.
struct Maker {
    backend: Arc<dyn Backend>,
    snapshots: Arc<Snapshots>,
    encoders: Arc<Semaphore>,
    view: View,
    show: Show,
}

/// What is sent to one viewer.
struct Viewer {
    pictures: watch::Receiver<Option<Bytes>>,
    to: mpsc::Sender<Bytes>,
    patience: Duration,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Viewers {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        snapshots: Arc<Snapshots>,
        limits: &ServerLimits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            backend,
            snapshots,
            shows: Arc::default(),
            places: Arc::new(Semaphore::new(limits.viewers)),
            places_max: limits.viewers,
            encoders: Arc::new(Semaphore::new(ENCODERS_MAX)),
            patience: limits.write_time,
            stop,
        }
    }

    /// Begins to send live pictures of `stream`. Call it within the server's runtime.
    pub(super) fn look(
        &self,
        stream: &str,
        plugin: Option<&str>,
        overlay: bool,
    ) -> Result<Lasting, Reply> {
        let (view, _) = self.snapshots.view(&*self.backend, stream, plugin, overlay)?;
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let detail = "as many viewers as are allowed look at live pictures";
            let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail);
            return Err(reply.retry_after(Some(SOON)));
        };
        let (to, body) = mpsc::channel(1);
        let viewer = Viewer {
            pictures: self.join(view),
            to,
            patience: self.patience,
            stop: self.stop.clone(),
            _place: place,
        };
        tokio::spawn(viewer.serve());
        Ok(Lasting::new(CONTENT_TYPE, body))
    }

    /// How many look now.
    pub(super) fn count(&self) -> usize {
        self.places_max.saturating_sub(self.places.available_permits())
    }

    /// How many pictures were encoded so far, snapshots included.
    pub(super) fn encoded_count(&self) -> u64 {
        self.snapshots.encoded_count()
    }

    /// The pictures of that view; whoever is the first to look has them made.
    fn join(&self, view: View) -> watch::Receiver<Option<Bytes>> {
        let mut shows = lock(&self.shows);
        if let Some(show) = shows.get(&view) {
            return show.subscribe();
        }
        let (show, pictures) = watch::channel(None);
        shows.insert(view.clone(), show.clone());
        let maker = Maker {
            backend: self.backend.clone(),
            snapshots: self.snapshots.clone(),
            encoders: self.encoders.clone(),
            view: view.clone(),
            show,
        };
        let shows = self.shows.clone();
        tokio::spawn(async move {
            let show = maker.show.clone();
            loop {
                maker.make().await;
                // Under the lock, so that nobody joins a show that has ended.
                let mut shows = lock(&shows);
                if show.receiver_count() == 0 || maker.has_ended() {
                    shows.remove(&view);
                    return;
                }
            }
        });
        pictures
    }
}

impl Maker {
    /// Shows one picture after the other until nobody looks, or there is no live picture.
    async fn make(&self) {
        let mut results = self.backend.results().watch();
        let mut last = None;
        let mut looked_at = Instant::now();
        while self.show.receiver_count() > 0 {
            results.borrow_and_update();
            let latest = self.latest();
            if let Some(latest) = latest.filter(|latest| last != Some(identity(latest))) {
                last = Some(identity(&latest));
                // A frame that gives no picture is passed over.
                if let Some(part) = self.encode(latest).await {
                    self.show.send_replace(Some(part));
                }
                continue;
            }
            // Other streams' results wake this one too; whether its own is live is asked seldom.
            if looked_at.elapsed() >= LOOK_ROUND {
                looked_at = Instant::now();
                if self.has_ended() {
                    return;
                }
            }
            tokio::select! {
                changed = timeout(LOOK_ROUND, results.changed()) => {
                    if matches!(changed, Ok(Err(_))) { return; }
                }
                () = self.show.closed() => return,
            }
        }
    }

    fn latest(&self) -> Option<LatestResult> {
        self.backend.latest(&self.view.stream, Some(&self.view.plugin))
    }

    fn has_ended(&self) -> bool {
        let View { stream, plugin, overlay } = &self.view;
        self.snapshots.view(&*self.backend, stream, Some(plugin), *overlay).is_err()
    }

    async fn encode(&self, latest: LatestResult) -> Option<Bytes> {
        let permit = self.encoders.clone().acquire_owned().await.ok()?;
        let (snapshots, view) = (self.snapshots.clone(), self.view.clone());
        let task = spawn_blocking(move || {
            let jpeg = snapshots.jpeg(view, &latest);
            drop(permit);
            jpeg.map(|jpeg| part(&latest, &jpeg))
        });
        match task.await {
            Ok(Ok(part)) => Some(part),
            Ok(Err(reason)) => {
                tracing::debug!(stream = %self.view.stream, reason, "no live picture");
                None
            }
            Err(_) => None,
        }
    }
}

impl Viewer {
    async fn serve(mut self) {
        loop {
            let picture = self.pictures.borrow_and_update().clone();
            if let Some(picture) = picture
                && !matches!(timeout(self.patience, self.to.send(picture)).await, Ok(Ok(())))
            {
                return;
            }
            tokio::select! {
                changed = self.pictures.changed() => if changed.is_err() { return },
                () = self.to.closed() => return,
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

/// A picture as a part of the body: its length, so that no reader has to search, and the frame.
fn part(latest: &LatestResult, jpeg: &[u8]) -> Bytes {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\
         X-Frame-Sequence: {}\r\n\r\n",
        jpeg.len(),
        latest.frame.sequence(),
    );
    [head.as_bytes(), jpeg, b"\r\n"].concat().into()
}

/// After a reconnect sequences may begin again; the time tells frames apart.
fn identity(latest: &LatestResult) -> (u64, Instant) {
    (latest.frame.sequence(), latest.frame.captured())
}

fn lock(shows: &Mutex<HashMap<View, Show>>) -> MutexGuard<'_, HashMap<View, Show>> {
    shows.lock().unwrap_or_else(PoisonError::into_inner)
}

const BOUNDARY: &str = "frame";
const CONTENT_TYPE: &str = "multipart/x-mixed-replace; boundary=frame";

/// How often it is asked whether a stream without new pictures is live.
const LOOK_ROUND: Duration = Duration::from_millis(500);

/// Pictures of different views that are encoded at a time.
pub(super) const ENCODERS_MAX: usize = 2;
