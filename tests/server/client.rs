//! A client that may do anything: raw bytes over a socket, and answers read from it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use tokio::net::TcpSocket;

use super::scene::PATIENCE;

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error, whose form is checked.
    pub fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        let json = self.json();
        assert!(json["error"]["type"].is_string(), "{json}");
        json["error"]["message"].as_str().unwrap().to_owned()
    }

    /// What the events of a stream say, without what ends it.
    pub fn events(&self) -> Vec<Value> {
        let mut data: Vec<&str> = Vec::new();
        for event in self.body.split_terminator("\n\n") {
            if !event.starts_with(':') {
                data.push(event.strip_prefix("data: ").expect(event));
            }
        }
        assert_eq!(data.pop(), Some("[DONE]"));
        let json = |text: &str| serde_json::from_str(text).unwrap();
        data.into_iter().map(json).collect()
    }
}

/// A connection to a server.
pub struct Client {
    pub socket: TcpStream,
    /// What was read beyond the last answer.
    rest: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// With room for so many bytes that were not read yet.
    pub fn with_room(address: SocketAddr, bytes: u32) -> Self {
        Self::with(address, |socket| socket.set_recv_buffer_size(bytes))
    }

    /// One that breaks the connection when it goes, and takes no leave.
    pub fn abrupt(address: SocketAddr) -> Self {
        Self::with(address, |socket| socket.set_zero_linger())
    }

    fn with(address: SocketAddr, set: impl FnOnce(&TcpSocket) -> std::io::Result<()>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_io().build().unwrap();
        let socket = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            set(&socket).unwrap();
            socket.connect(address).await.unwrap()
        });
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        Self::over(socket)
    }

    pub fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            rest: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes that the server may not want to have.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(bytes.as_ref());
    }

    /// Reads more; false at the end.
    pub fn more(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.rest.extend(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&self.rest)),
        }
    }

    /// Reads until `mark`, and takes it all.
    pub fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            let mut places = self.rest.windows(mark.len());
            if let Some(at) = places.position(|place| place == mark.as_bytes()) {
                let taken = self.rest.drain(..at + mark.len()).collect();
                return Some(String::from_utf8(taken).unwrap());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Waits for the beginning of an answer, and takes nothing of it.
    pub fn head_comes(&mut self) {
        assert!(self.socket.peek(&mut [0]).unwrap() > 0);
    }

    fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.rest.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.rest.drain(..count).collect())
    }

    /// The head of an answer, without a body.
    pub fn head(&mut self) -> Option<Answer> {
        let head = self.until("\r\n\r\n")?;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.").expect(status)[2..5]
            .parse()
            .unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect(line);
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let answer = Answer {
            status,
            headers: headers.collect(),
            body: String::new(),
        };
        match status {
            // What only keeps us waiting. Python's client passes over no other.
            100 => self.head(),
            _ => Some(answer),
        }
    }

    /// The next answer; `None` where the connection ends before it does.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        let body = if let Some(length) = answer.header("content-length") {
            self.exactly(length.parse().unwrap())?
        } else if answer.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let size = self.until("\r\n")?;
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                let mut chunk = self.exactly(size + 2)?;
                chunk.truncate(size);
                if chunk.is_empty() {
                    break body;
                }
                body.extend(chunk);
            }
        } else {
            Vec::new()
        };
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// Whether the server has ended the connection, without a further answer.
    pub fn has_ended(&mut self) -> bool {
        while self.more() {}
        self.rest.is_empty()
    }
}

/// A request with a body of JSON.
pub fn post(path: &str, body: &str) -> String {
    post_with(path, "", body)
}

/// The same with further lines of its head, each with its end.
pub fn post_with(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

/// A request without a body, with further lines of its head.
pub fn get_with(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\n{headers}\r\n")
}

pub fn get(path: &str) -> String {
    get_with(path, "Host: localhost\r\n")
}
