//! Asks an operator again and again whether it lives.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often.
const EVERY: Duration = Duration::from_millis(20);
/// What takes longer is no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Answers {
    pub count: usize,
    /// Those that were none, or not 200.
    pub bad: usize,
    pub slowest: Duration,
}

/// A thread that asks until it is told to stop.
pub struct Pulse {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

impl Pulse {
    pub fn of(operator: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut answers = Answers::default();
            while !ends.load(Ordering::SeqCst) {
                let began = Instant::now();
                let lives = ask(operator).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
                answers.count += 1;
                answers.bad += usize::from(!lives);
                answers.slowest = answers.slowest.max(began.elapsed());
                std::thread::sleep(EVERY);
            }
            answers
        });
        Self { over, thread }
    }

    pub fn stop(self) -> Answers {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn ask(operator: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&operator, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
