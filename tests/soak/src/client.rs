//! An HTTP client that notices a missing, a second and a strange answer.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A connection that carries one request after the other.
pub(crate) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When no answer came, or bytes that belong to none.
    pub(crate) fn ask(&mut self, head: &str, body: &str) -> io::Result<Answer> {
        let result = self.try_ask(head, body);
        match &result {
            Ok(answer) if !answer.closes => {}
            _ => self.connection = None,
        }
        result
    }

    fn try_ask(&mut self, head: &str, body: &str) -> io::Result<Answer> {
        let connection = match self.connection.take() {
            Some(connection) => self.connection.insert(connection),
            None => self.connection.insert(BufReader::new(connect(self.address)?)),
        };
        expect_silence(connection)?;
        let text = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.get_mut().write_all(text.as_bytes())?;
        let (status, headers) = head_of(connection)?;
        let value = |name: &str| {
            headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
        };
        let length = value("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.ok_or_else(|| strange("an answer without a length"))?];
        connection.read_exact(&mut body)?;
        let closes = value("connection") == Some("close");
        Ok(Answer { status, body, closes })
    }
}

/// Follows the events; gives each line to `take` until that says no. Returns when the server ends
/// the answer, too.
pub(crate) fn follow(
    address: SocketAddr,
    last_event: Option<&str>,
    mut take: impl FnMut(&str) -> bool,
) -> io::Result<()> {
    let mut connection = BufReader::new(connect(address)?);
    let last = last_event.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
    let text = format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
    connection.get_mut().write_all(text.as_bytes())?;
    let (status, _) = head_of(&mut connection)?;
    if status != 200 {
        return Err(strange("the events were refused"));
    }
    let mut text = String::new();
    loop {
        let length = line(&mut connection)?;
        let length = usize::from_str_radix(&length, 16).map_err(|_| strange("no chunk"))?;
        let mut chunk = vec![0; length + 2];
        connection.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        text.push_str(std::str::from_utf8(&chunk[..length]).map_err(|_| strange("no text"))?);
        while let Some((first, rest)) = text.split_once('\n') {
            if !take(first) {
                return Ok(());
            }
            text = rest.to_owned();
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Nothing may come between two requests: it would be a second answer.
fn expect_silence(connection: &mut BufReader<TcpStream>) -> io::Result<()> {
    if !connection.buffer().is_empty() {
        return Err(strange("bytes behind the answer"));
    }
    let stream = connection.get_mut();
    stream.set_nonblocking(true)?;
    let more = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match more {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Ok(0) => Err(strange("the server closed a connection in use")),
        Ok(_) => Err(strange("a second answer")),
        Err(error) => Err(error),
    }
}

fn head_of(connection: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let first = line(connection)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| strange("no status"))?;
    let mut headers = Vec::new();
    loop {
        let line = line(connection)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| strange("no header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Far longer than any limit that a call has.
const PATIENCE: Duration = Duration::from_secs(60);
