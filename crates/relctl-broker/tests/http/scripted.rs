//! A server that answers each request as the script says, and goes away at its end.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to one request, after it was read whole.
pub(crate) enum Reply {
    /// Status, content type, body.
    Send(u16, &'static str, String),
    /// With these header lines too.
    SendWith(u16, &'static str, String),
    /// The connection closes without an answer.
    Lose,
    /// The answer promises more than it brings.
    Cut,
    /// No answer, and the connection stays.
    Hang,
}

const JSON: &str = "application/x-amz-json-1.1";

pub(crate) fn ok() -> Reply {
    Reply::Send(200, JSON, "{}".to_owned())
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    Reply::Send(status, JSON, format!(r#"{{"__type":"{code}"}}"#))
}

pub(crate) fn identity(account: &str, partition: &str) -> Reply {
    let body = format!(
        "<R><Arn>arn:{partition}:iam::{account}:user/u</Arn><Account>{account}</Account></R>"
    );
    Reply::Send(200, "text/xml", body)
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// The request line, then the headers, names in lower case.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// `UpdateService`, from either protocol.
    pub(crate) fn operation(&self) -> &str {
        match self.header("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap(),
            None => self.body.split(['=', '&']).nth(1).unwrap(),
        }
    }
}

pub(crate) struct Scripted {
    pub(crate) url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Scripted {
    pub(crate) async fn start(script: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&arrived);
        tokio::spawn(async move {
            let mut open = Vec::new();
            for reply in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = receive(&mut stream).await;
                record.lock().unwrap().push(request);
                answer(&mut stream, &reply).await;
                if matches!(reply, Reply::Hang) {
                    open.push(stream);
                }
            }
            drop(listener);
            // Connections that hang do so until the test ends.
            std::future::pending::<()>().await;
            drop(open);
        });
        Self { url, arrived }
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub(crate) fn operations(&self) -> Vec<String> {
        self.arrived().iter().map(|request| request.operation().to_owned()).collect()
    }
}

async fn receive(stream: &mut TcpStream) -> Arrived {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "cut request");
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while bytes.len() < end + 4 + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "cut body");
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
    Arrived { line, headers, body }
}

async fn answer(stream: &mut TcpStream, reply: &Reply) {
    let text = match reply {
        Reply::Send(status, kind, body) => format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        ),
        Reply::SendWith(status, headers, body) => format!(
            "HTTP/1.1 {status} X\r\n{headers}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
             {body}",
            body.len()
        ),
        Reply::Cut => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned(),
        Reply::Lose | Reply::Hang => return,
    };
    // A client that has seen enough may be gone by then.
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}
