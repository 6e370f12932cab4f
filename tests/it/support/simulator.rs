//! A simulator that ships with the program, in a process of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::world::{certs, program};

/// A running simulator; ended when dropped.
#[derive(Debug)]
pub struct Simulator {
    what: String,
    card: String,
    further: Vec<String>,
    child: Child,
    pub at: SocketAddr,
    control: SocketAddr,
    _said: BufReader<ChildStdout>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Simulator {
    /// `klagomal simulate WHAT` with the certificate `card`, wherever there is a port.
    pub fn start(what: &str, card: &str, further: &[&str]) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let further = further.iter().map(|it| (*it).to_owned()).collect();
        Self::launch(what.to_owned(), card.to_owned(), further, [any, any])
    }

    fn launch(what: String, card: String, further: Vec<String>, doors: [SocketAddr; 2]) -> Self {
        let file = |end: &str| certs().join(format!("{card}.{end}"));
        let [listen, control] = doors.map(|it| it.to_string());
        let mut child = Command::new(program())
            .args(["simulate", &what, "--listen", &listen, "--control", &control])
            .arg("--cert")
            .arg(file("crt"))
            .arg("--key")
            .arg(file("key"))
            .arg("--ca")
            .arg(certs().join("ca.crt"))
            .args(&further)
            .stdout(Stdio::piped())
            // A line for each call: nobody reads so many.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut port = || {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the simulator ended");
            let port = line.trim().trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
            SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
        };
        let (at, control) = (port(), port());
        Self { what, card, further, child, at, control, _said: said }
    }

    /// `kill -9`, and another process in its place that knows nothing of it.
    pub fn is_killed_and_started(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (what, card) = (self.what.clone(), self.card.clone());
        *self = Self::launch(what, card, self.further.clone(), [self.at, self.control]);
    }

    /// What its control door answers.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.control).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
