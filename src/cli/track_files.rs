use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use keepsight_contract::{Frame, Response, TrackState, Tracks};
use keepsight_jpeg::{AviWriter, Picture, encode, overlay};
use serde_json::json;

/// Where `track` writes to. Each file is written beside its place and moved there when it is
/// whole, so that a run that fails leaves what was there before.
pub(super) struct TrackFiles {
    tracks: Option<TracksFile>,
    film: Option<Film>,
}

struct TracksFile {
    place: Unfinished,
    format: TracksFormat,
    out: BufWriter<File>,
}

/// The place of a file that is not whole yet; what was written is removed unless it is finished.
struct Unfinished {
    path: PathBuf,
    beside: PathBuf,
    kept: bool,
}

#[derive(Clone, Copy)]
enum TracksFormat {
    Mot,
    JsonLines,
}

struct Film {
    place: Unfinished,
    rate: f64,
    writer: Option<AviWriter<BufWriter<File>>>,
}

/// Why nothing could be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{}: tracks are written to a .txt (MOT text) or a .jsonl (JSON Lines)", path.display())]
    TracksEnding { path: PathBuf },
    #[error("{}: the film is written to an .avi", path.display())]
    FilmEnding { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot write the film {}", path.display())]
    Film { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

impl TrackFiles {
    /// Whether files can be written under these names, as far as can be told without trying.
    pub(super) fn check_names(
        tracks: Option<&Path>,
        film: Option<&Path>,
    ) -> Result<(), WriteError> {
        tracks.map(TracksFormat::of).transpose()?;
        match film {
            Some(film) if film.extension().is_none_or(|ending| ending != "avi") => {
                Err(WriteError::FilmEnding { path: film.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Opens the files; `rate` is the film's, in frames a second.
    pub(super) fn create(
        tracks: Option<&Path>,
        film: Option<&Path>,
        rate: f64,
    ) -> Result<Self, WriteError> {
        let tracks = tracks.map(TracksFile::create).transpose()?;
        let film = film.map(|path| Film { place: Unfinished::at(path), rate, writer: None });
        Ok(Self { tracks, film })
    }

    /// Adds the frame with the number `index`, from 0, and what was found in it.
    pub(super) fn add(
        &mut self,
        index: u64,
        frame: &Frame,
        response: &Response,
    ) -> Result<(), WriteError> {
        if let Some(file) = &mut self.tracks {
            let empty = Tracks::default();
            let tracks = response.output::<Tracks>().unwrap_or(&empty);
            file.add(index, tracks).map_err(|source| cannot_write(&file.place.path, source))?;
        }
        if let Some(film) = &mut self.film {
            film.add(frame, response)
                .map_err(|source| WriteError::Film { path: film.place.path.clone(), source })?;
        }
        Ok(())
    }

    /// Ends a run that can't go on: what there is stays beside its place, and the paths say where.
    pub(super) fn keep_unfinished(self) -> Result<Vec<PathBuf>, WriteError> {
        let mut kept = Vec::new();
        if let Some(TracksFile { place, mut out, .. }) = self.tracks {
            out.flush().map_err(|source| cannot_write(&place.path, source))?;
            kept.push(place.keep());
        }
        if let Some(Film { place, writer: Some(writer), .. }) = self.film {
            let failed = |source| WriteError::Film { path: place.path.clone(), source };
            writer.finish().map_err(|error| failed(error.into()))?;
            kept.push(place.keep());
        }
        Ok(kept)
    }

    /// Puts the finished files in their places.
    pub(super) fn finish(self) -> Result<(), WriteError> {
        if let Some(mut file) = self.tracks {
            let place = &file.place;
            let finished = file.out.flush().and_then(|()| place.finish());
            finished.map_err(|source| cannot_write(&place.path, source))?;
        }
        if let Some(Film { place, writer: Some(writer), .. }) = self.film {
            let path = &place.path;
            let failed = |source| WriteError::Film { path: path.clone(), source };
            writer.finish().map_err(|error| failed(error.into()))?;
            place.finish().map_err(|source| cannot_write(path, source))?;
        }
        Ok(())
    }
}

impl Unfinished {
    fn at(path: &Path) -> Self {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        Self { path: path.to_owned(), beside: PathBuf::from(beside), kept: false }
    }

    /// Leaves what was written where it is, and says where that is.
    fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.beside.clone()
    }

    fn finish(&self) -> io::Result<()> {
        std::fs::rename(&self.beside, &self.path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // Finished or never begun, it isn't there; otherwise nobody has a use for it.
            let _ = std::fs::remove_file(&self.beside);
        }
    }
}

impl TracksFormat {
    fn of(path: &Path) -> Result<Self, WriteError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("txt") => Ok(Self::Mot),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => Err(WriteError::TracksEnding { path: path.to_owned() }),
        }
    }
}

impl TracksFile {
    fn create(path: &Path) -> Result<Self, WriteError> {
        let format = TracksFormat::of(path)?;
        let place = Unfinished::at(path);
        let file = File::create(&place.beside).map_err(|source| cannot_write(path, source))?;
        Ok(Self { place, format, out: BufWriter::new(file) })
    }

    fn add(&mut self, index: u64, tracks: &Tracks) -> io::Result<()> {
        match self.format {
            TracksFormat::JsonLines => {
                writeln!(self.out, "{}", json!({ "frame": index + 1, "tracks": tracks.0 }))
            }
            // MOT Challenge: frame from 1, id, left, top, width, height, confidence, three unused.
            // A row says that the object was seen, so tracks that coast have none.
            TracksFormat::Mot => {
                let seen = tracks.0.iter().filter(|track| track.state == TrackState::Confirmed);
                for track in seen {
                    let (id, bbox) = (track.track_id, &track.bbox);
                    writeln!(
                        self.out,
                        "{},{id},{:.2},{:.2},{:.2},{:.2},{:.4},-1,-1,-1",
                        index + 1,
                        bbox.x,
                        bbox.y,
                        bbox.width,
                        bbox.height,
                        track.confidence
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl Film {
    fn add(
        &mut self,
        frame: &Frame,
        response: &Response,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut picture = Picture::from_frame(frame)?;
        overlay::draw_response(&mut picture, response);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(AviWriter::create(&self.place.beside, picture.size(), self.rate)?),
        };
        // A film has one size, though the pictures of a folder may have several.
        let jpeg = encode(&picture.fitted(writer.size()), FILM_QUALITY)?;
        writer.push(&jpeg)?;
        Ok(())
    }
}

fn cannot_write(path: &Path, source: io::Error) -> WriteError {
    WriteError::Write { path: path.to_owned(), source }
}

const FILM_QUALITY: u8 = 85;
