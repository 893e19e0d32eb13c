//! Films without an index: Y4M, and JPEGs one after the other.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use keepsight_jpeg::{FilmError, FilmItem, FilmParser, FilmPicture, Limits};

use crate::error::FileError;
use crate::film::{Content, StoredPicture};

/// Reads the pictures of a film one after the other.
pub(crate) struct StreamFile<R = BufReader<File>> {
    path: PathBuf,
    input: R,
    parser: FilmParser,
    over: bool,
}

impl StreamFile {
    /// Opens the film at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io(path))?;
        Ok(Self::new(BufReader::with_capacity(64 * 1024, file), path))
    }
}

impl<R: Read + Seek> StreamFile<R> {
    fn new(input: R, path: &Path) -> Self {
        let parser = FilmParser::new(Limits::default());
        Self { path: path.to_owned(), input, parser, over: false }
    }

    /// Frames a second, as the header says; it is read with the first picture.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.parser.rate()
    }

    /// The next picture; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<StoredPicture>, FileError> {
        while !self.over {
            if let Some(item) = self.parser.next().map_err(film(&self.path))? {
                return self.stored(item).map(Some);
            }
            match self.input.read(self.parser.space()) {
                Ok(0) => {
                    self.over = true;
                    if let Some(item) = self.parser.finish().map_err(film(&self.path))? {
                        return self.stored(item).map(Some);
                    }
                }
                Ok(count) => self.parser.filled(count).map_err(film(&self.path))?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(FileError::Io { path: self.path.clone(), source }),
            }
        }
        Ok(None)
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) -> Result<(), FileError> {
        self.input.rewind().map_err(FileError::io(&self.path))?;
        self.parser = FilmParser::new(Limits::default());
        self.over = false;
        Ok(())
    }

    fn stored(&self, item: FilmItem) -> Result<StoredPicture, FileError> {
        let place =
            |number, offset| format!("{}, frame {number} at byte {offset}", self.path.display());
        match item {
            FilmItem::Picture(FilmPicture { format, size, bytes, number, offset }) => {
                let content = Content::Checked { format, size, bytes };
                Ok(StoredPicture { content, origin: place(number, offset), number })
            }
            FilmItem::Damaged { number, offset, reason } => {
                Err(FileError::DamagedPicture { origin: place(number, offset), reason })
            }
            _ => Err(FileError::UnknownFormat { path: self.path.clone() }),
        }
    }
}

fn film(path: &Path) -> impl FnOnce(FilmError) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Film { path, source }
}
