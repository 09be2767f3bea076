//! As much of HTTP/1.1 as AWS clients and moto speak: one request a connection, bodies with their
//! length said.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// A request, or an answer, as it stands on the wire.
struct Message {
    /// The request line, or the status line.
    start: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(super) struct Request {
    line: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Names as they came. Lengths and connections are the proxy's.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// Reads to the end of the body; without a length, an answer's body goes on to the end.
    fn read(stream: &mut TcpStream, is_answer: bool) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            more(stream, &mut bytes)?;
        };
        let mut body = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        if header(&headers, "transfer-encoding").is_some() {
            return Err(io::Error::other("the proxy reads no body in chunks"));
        }
        match header(&headers, "content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                while body.len() < length {
                    more(stream, &mut body)?;
                }
            }
            None if is_answer => {
                stream.read_to_end(&mut body)?;
            }
            None => {}
        }
        Ok(Self { start, headers, body })
    }
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let count = stream.read(&mut buffer)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(())
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// Writes a message that says its length and ends the connection.
fn write(
    stream: &mut TcpStream,
    start: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let own = ["content-length", "connection", "transfer-encoding"];
    let is_own = |name: &str| own.iter().any(|own| name.eq_ignore_ascii_case(own));
    let mut bytes = Vec::new();
    write!(bytes, "{start}\r\n")?;
    for (name, value) in headers.iter().filter(|(name, _)| !is_own(name)) {
        write!(bytes, "{name}: {value}\r\n")?;
    }
    write!(bytes, "content-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}

/// Whether an operation only reads, by its name: AWS's or a method and a path.
pub(super) fn is_read(operation: &str) -> bool {
    ["Describe", "Filter", "Get", "List", "GET ", "HEAD "]
        .iter()
        .any(|read| operation.starts_with(read))
}

impl Request {
    pub(super) fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let Message { start, headers, body } = Message::read(stream, false)?;
        Ok(Self { line: start, headers, body })
    }

    /// `UpdateService`, from whichever protocol.
    pub(super) fn operation(&self) -> String {
        if let Some(target) = header(&self.headers, "x-amz-target") {
            return target.rsplit('.').next().unwrap_or(target).to_owned();
        }
        let form = String::from_utf8_lossy(&self.body);
        let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
        match action {
            Some(action) => action.to_owned(),
            None => {
                self.line.rsplit_once(' ').map_or(self.line.as_str(), |(line, _)| line).to_owned()
            }
        }
    }

    /// The service that the request is signed for.
    pub(super) fn service(&self) -> String {
        let scope = header(&self.headers, "authorization")
            .and_then(|value| value.split_once("Credential="))
            .and_then(|(_, rest)| rest.split('/').nth(3));
        scope.unwrap_or_default().to_owned()
    }

    /// Has the endpoint answer.
    pub(super) fn forward(&self, upstream: SocketAddr) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(upstream)?;
        write(&mut stream, &self.line, &self.headers, &self.body)?;
        let Message { start, headers, body } = Message::read(&mut stream, true)?;
        let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {start:?}")))?;
        Ok(Reply { status, headers, body })
    }
}

impl Reply {
    /// An answer as ECS gives it.
    pub fn json(status: u16, body: &Value) -> Self {
        let content_type = ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned());
        Self { status, headers: vec![content_type], body: body.to_string().into_bytes() }
    }

    /// An error as ECS gives it.
    pub fn json_error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"__type": code, "message": message}))
    }

    /// An answer as RDS gives it.
    pub fn xml(status: u16, body: &str) -> Self {
        let content_type = ("content-type".to_owned(), "text/xml".to_owned());
        Self { status, headers: vec![content_type], body: body.as_bytes().to_vec() }
    }

    /// Changes a JSON body; another is left as it is.
    pub fn edit_json(&mut self, edit: impl FnOnce(&mut Value)) {
        if let Ok(mut json) = serde_json::from_slice(&self.body) {
            edit(&mut json);
            self.body = json.to_string().into_bytes();
        }
    }

    /// Changes a body as text.
    pub fn edit_text(&mut self, edit: impl FnOnce(String) -> String) {
        self.body = edit(String::from_utf8_lossy(&self.body).into_owned()).into_bytes();
    }

    pub(super) fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let start = format!("HTTP/1.1 {} Proxied", self.status);
        write(stream, &start, &self.headers, &self.body)
    }
}
