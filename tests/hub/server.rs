//! A hub of the tests' own: HTTP/1.1 on a local port, with a second server that files are redirected to.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The first byte that was asked for, where it is not the whole.
    pub fn from(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// How a file is given wrongly, once or always.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// It ends before the answer's head is whole.
    NoHead,
    /// Another status, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Content-Length says so many bytes more or less than there are.
    Length(i64),
    /// Ranges are not understood: all of it comes.
    NoRanges,
    /// A part that begins elsewhere than asked.
    WrongRange,
    /// Other bytes than announced.
    Wrong,
    /// No Content-Length and no chunks, and more bytes than announced.
    Endless,
    /// Nothing more comes, and the connection stays.
    Stall(usize),
}

#[derive(Default)]
pub struct World {
    /// By repository, then by file.
    pub repos: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Names that the listing has although they are no files.
    pub listed: Vec<String>,
    /// Repositories that need this token.
    pub gated: BTreeMap<String, String>,
    /// What goes wrong when the contents of a file are asked for, first to last.
    pub faults: HashMap<String, Vec<Fault>>,
    /// The same for the endpoint, by path.
    pub endpoint_faults: HashMap<String, Vec<Fault>>,
    /// Headers in place of those that the hub gives for a file.
    pub lies: HashMap<String, Vec<(&'static str, String)>>,
    /// What the hub's endpoint was asked.
    pub endpoint: Vec<Asked>,
    /// What the server behind it was asked.
    pub store: Vec<Asked>,
}

/// Two servers that end with the test's process.
#[derive(Clone)]
pub struct Server {
    pub world: Arc<Mutex<World>>,
    pub endpoint: String,
    store: String,
}

impl Server {
    pub fn start() -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub, store) = (listen(), listen());
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            world: Arc::default(),
            endpoint: address(&hub),
            store: address(&store),
        };
        for (listener, is_store) in [(hub, false), (store, true)] {
            let server = server.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let server = server.clone();
                    std::thread::spawn(move || server.serve(stream, is_store));
                }
            });
        }
        server
    }

    pub fn put(&self, repo: &str, file: &str, bytes: impl Into<Vec<u8>>) {
        let mut world = self.world.lock().unwrap();
        let files = world.repos.entry(repo.to_owned()).or_default();
        files.insert(file.to_owned(), bytes.into());
    }

    /// A model as the fixtures have it.
    pub fn put_folder(&self, repo: &str, folder: &std::path::Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            self.put(repo, name, std::fs::read(&path).unwrap());
        }
    }

    pub fn fault(&self, file: &str, faults: impl Into<Vec<Fault>>) {
        let mut world = self.world.lock().unwrap();
        world.faults.insert(file.to_owned(), faults.into());
    }

    pub fn lie(&self, file: &str, header: &'static str, value: &str) {
        let mut world = self.world.lock().unwrap();
        let lies = world.lies.entry(file.to_owned()).or_default();
        lies.push((header, value.to_owned()));
    }

    pub fn asked_endpoint(&self) -> Vec<Asked> {
        self.world.lock().unwrap().endpoint.clone()
    }

    pub fn asked_store(&self) -> Vec<Asked> {
        self.world.lock().unwrap().store.clone()
    }

    fn serve(&self, mut stream: TcpStream, is_store: bool) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(asked) = read_request(&mut reader) {
            let mut world = self.world.lock().unwrap();
            match is_store {
                true => world.store.push(asked.clone()),
                false => world.endpoint.push(asked.clone()),
            }
            drop(world);
            let goes_on = match is_store {
                true => self.store(&mut stream, &asked),
                false => self.hub(&mut stream, &asked),
            };
            if goes_on != Some(true) {
                break;
            }
        }
    }

    /// `None` or false: the connection ends.
    fn hub(&self, stream: &mut TcpStream, asked: &Asked) -> Option<bool> {
        let mut world = self.world.lock().unwrap();
        let path = asked.path.clone();
        let fault = world
            .endpoint_faults
            .get_mut(&path)
            .and_then(|faults| (!faults.is_empty()).then(|| faults.remove(0)));
        match fault {
            Some(Fault::Status(status, headers)) => {
                return answer(stream, status, &headers, b"", asked);
            }
            Some(Fault::NoHead) => return None,
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/api/models/") {
            let (repo, revision) = rest.split_once("/revision/")?;
            let Some(files) = world.repos.get(repo) else {
                return refuse(stream, 404, "RepoNotFound", asked);
            };
            if revision != "main" && revision != COMMIT && revision != "refs%2Fpr%2F1" {
                return refuse(stream, 404, "RevisionNotFound", asked);
            }
            let names = files.keys().chain(&world.listed);
            let siblings: Vec<_> = names
                .map(|name| serde_json::json!({ "rfilename": name }))
                .collect();
            let text = serde_json::json!({ "id": repo, "sha": COMMIT, "siblings": siblings });
            return answer(stream, 200, &[], text.to_string().as_bytes(), asked);
        }
        let (repo, rest) = path.trim_start_matches('/').split_once("/resolve/")?;
        let (_, file) = rest.split_once('/')?;
        let Some(files) = world.repos.get(repo) else {
            return refuse(stream, 404, "RepoNotFound", asked);
        };
        if let Some(token) = world.gated.get(repo) {
            match asked.header("authorization") {
                None => return refuse(stream, 401, "GatedRepo", asked),
                Some(sent) if sent != format!("Bearer {token}") => {
                    return refuse(stream, 403, "GatedRepo", asked);
                }
                Some(_) => {}
            }
        }
        let Some(bytes) = files.get(file).cloned() else {
            return refuse(stream, 404, "EntryNotFound", asked);
        };
        let lies = world.lies.get(file).cloned().unwrap_or_default();
        let lie = |name: &str| {
            let found = lies.iter().find(|(lied, _)| *lied == name);
            found.map(|(_, value)| value.clone())
        };
        drop(world);
        let commit = ("X-Repo-Commit", COMMIT.to_owned());
        if !file.ends_with(".safetensors") {
            // Like Git's own hashes: no SHA-256.
            let etag = lie("ETag").unwrap_or_else(|| format!("\"{}\"", &sha256(&bytes)[..40]));
            let headers = [commit, ("ETag", etag)];
            return match asked.method.as_str() {
                "HEAD" => answer(stream, 200, &headers, &bytes, asked),
                _ => self.body(stream, file, &bytes, &headers, asked),
            };
        }
        let headers = [
            commit,
            (
                "X-Linked-Etag",
                lie("X-Linked-Etag").unwrap_or_else(|| format!("\"{}\"", sha256(&bytes))),
            ),
            (
                "X-Linked-Size",
                lie("X-Linked-Size").unwrap_or_else(|| bytes.len().to_string()),
            ),
            (
                "Location",
                format!("{}/{repo}/{file}?Signature=secret", self.store),
            ),
        ];
        answer(stream, 302, &headers, b"Found", asked)
    }

    fn store(&self, stream: &mut TcpStream, asked: &Asked) -> Option<bool> {
        let path = asked.path.split('?').next()?;
        let (repo, file) = path.trim_start_matches('/').rsplit_once('/')?;
        let world = self.world.lock().unwrap();
        let bytes = world.repos.get(repo)?.get(file)?.clone();
        drop(world);
        self.body(stream, file, &bytes, &[], asked)
    }

    /// The contents of a file, or what was to go wrong with them.
    fn body(
        &self,
        stream: &mut TcpStream,
        file: &str,
        bytes: &[u8],
        headers: &[(&'static str, String)],
        asked: &Asked,
    ) -> Option<bool> {
        let mut world = self.world.lock().unwrap();
        let fault = match world.faults.get_mut(file) {
            // The last stays.
            Some(faults) if faults.len() == 1 && is_lasting(&faults[0]) => Some(faults[0].clone()),
            Some(faults) if !faults.is_empty() => Some(faults.remove(0)),
            _ => None,
        };
        drop(world);
        let mut from = asked.from().unwrap_or(0);
        if matches!(fault, Some(Fault::NoRanges)) {
            from = 0;
        }
        if from > bytes.len() {
            return answer(stream, 416, &[], b"", asked);
        }
        let mut headers = headers.to_vec();
        let status = match from {
            0 => 200,
            _ => {
                let shown = match fault {
                    Some(Fault::WrongRange) => from - 1,
                    _ => from,
                };
                let range = format!("bytes {shown}-{}/{}", bytes.len() - 1, bytes.len());
                headers.push(("Content-Range", range));
                206
            }
        };
        let part = &bytes[from..];
        match fault {
            Some(Fault::Status(status, headers)) => answer(stream, status, &headers, b"", asked),
            Some(Fault::NoHead) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").ok()?;
                None
            }
            Some(Fault::Cut(at)) => {
                write_head(stream, status, &headers, Some(part.len()))?;
                stream.write_all(&part[..at.min(part.len())]).ok()?;
                None
            }
            Some(Fault::Stall(at)) => {
                write_head(stream, status, &headers, Some(part.len()))?;
                stream.write_all(&part[..at.min(part.len())]).ok()?;
                std::thread::sleep(Duration::from_secs(20));
                None
            }
            Some(Fault::Length(more)) => {
                let length = part.len().saturating_add_signed(more as isize);
                write_head(stream, status, &headers, Some(length))?;
                stream.write_all(part).ok()?;
                None
            }
            Some(Fault::Wrong) => {
                let wrong: Vec<u8> = part.iter().map(|byte| byte ^ 1).collect();
                answer(stream, status, &headers, &wrong, asked)
            }
            Some(Fault::Endless) => {
                write_head(stream, status, &headers, None)?;
                stream.write_all(part).ok()?;
                stream.write_all(&[7; 100_000]).ok()?;
                None
            }
            _ => answer(stream, status, &headers, part, asked),
        }
    }
}

/// Whether a fault stands for all times that follow, if it is the last.
fn is_lasting(fault: &Fault) -> bool {
    !matches!(fault, Fault::Cut(_) | Fault::NoHead | Fault::Stall(_))
}

pub fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            None => break,
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }
    Some(Asked {
        method,
        path,
        headers,
    })
}

fn write_head(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    length: Option<usize>,
) -> Option<()> {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match length {
        Some(length) => format!("Content-Length: {length}\r\n\r\n"),
        None => "Connection: close\r\n\r\n".to_owned(),
    };
    stream.write_all(head.as_bytes()).ok()
}

fn answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
    asked: &Asked,
) -> Option<bool> {
    write_head(stream, status, headers, Some(body.len()))?;
    if asked.method != "HEAD" {
        stream.write_all(body).ok()?;
    }
    Some(true)
}

fn refuse(stream: &mut TcpStream, status: u16, code: &str, asked: &Asked) -> Option<bool> {
    let message = ("X-Error-Message", "no".to_owned());
    let headers = [("X-Error-Code", code.to_owned()), message];
    answer(stream, status, &headers, b"", asked)
}
