//! Simulated systems on loopback, all in one thread of their own, as cheap as HTTP/1.1 can be answered: what they cost
//! is taken from the same two cores as everything that is measured.
//!
//! Everybody called `leaver-N@bench.test` has an account `uN` in every system, active, in three groups and with two
//! sessions. A request has its effect when it arrives; the answer is held back for the round trip. The journal says when
//! every request arrived, what it was and what it was answered.

use std::{
    collections::BTreeMap,
    io,
    net::TcpListener,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::wire::{self, Request};

/// How many there are.
pub const SYSTEMS: usize = 12;

/// How the systems behave.
#[derive(Clone, Copy, Default)]
pub struct Conduct {
    /// From the arrival of a request to its answer.
    pub round_trip: Duration,
    /// Requests in each whole second, counted from the first; those beyond are refused with 429 and `Retry-After`.
    pub per_second: Option<u32>,
    /// Of a thousand requests, so many meet a fault: 500, a connection that breaks before or after the effect, silence.
    pub faulty: u64,
    /// Chooses which.
    pub seed: u64,
}

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Find,
    ReadUser,
    ReadSessions,
    Disable,
    EndSessions,
    LeaveGroup,
    Unknown,
}

impl What {
    /// Whether it changes something.
    pub fn changes(self) -> bool {
        matches!(self, Self::Disable | Self::EndSessions | Self::LeaveGroup)
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub at: Instant,
    pub system: usize,
    pub leaver: usize,
    pub what: What,
    /// The status that was answered; none when the caller never got it.
    pub status: Option<u16>,
    /// Whether it was carried out.
    pub done: bool,
    /// Whether it came before the `Retry-After` of an earlier answer was over.
    pub early: bool,
}

#[derive(Clone, Copy)]
struct Account {
    active: bool,
    /// One bit for each group.
    groups: u8,
    sessions: u8,
}

impl Account {
    const NEW: Self = Self {
        active: true,
        groups: 0b111,
        sessions: 2,
    };
}

#[derive(Clone, Copy)]
struct Window {
    since: Instant,
    spent: u32,
    silent_until: Instant,
}

/// What the server thread and the benchmark share.
struct World {
    conduct: Conduct,
    journal: Vec<Entry>,
    accounts: Vec<BTreeMap<usize, Account>>,
    windows: Vec<Window>,
    dice: u64,
}

/// Running systems. They end with the process.
pub struct Systems {
    pub urls: Vec<String>,
    /// The thread that serves them.
    pub thread: String,
    world: Arc<Mutex<World>>,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Served,
    Refused(u16),
    LostBefore,
    LostAfter,
    Silence,
}

impl Systems {
    pub fn start() -> io::Result<Self> {
        let now = Instant::now();
        let window = Window {
            since: now,
            spent: 0,
            silent_until: now,
        };
        let world = Arc::new(Mutex::new(World {
            conduct: Conduct::default(),
            journal: vec![],
            accounts: vec![BTreeMap::new(); SYSTEMS],
            windows: vec![window; SYSTEMS],
            dice: 0,
        }));
        let (mut listeners, mut urls) = (vec![], vec![]);
        for _ in 0..SYSTEMS {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            listener.set_nonblocking(true)?;
            urls.push(format!("http://{}", listener.local_addr()?));
            listeners.push(listener);
        }
        let (tell, told) = mpsc::channel();
        let shared = world.clone();
        std::thread::spawn(move || {
            // `…/task/ID`, where the kernel counts what this thread alone costs.
            let this = std::fs::read_link("/proc/thread-self").unwrap();
            tell.send(format!("/proc/{}", this.display())).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listeners, shared));
        });
        let thread = told.recv().expect("the thread has just begun");
        Ok(Self { urls, thread, world })
    }

    /// From now on the systems behave like this; everybody has all access again, and the journal is empty.
    pub fn begin(&self, conduct: Conduct) {
        let mut world = lock(&self.world);
        world.conduct = conduct;
        world.dice = conduct.seed;
        world.journal = vec![];
        world.accounts = vec![BTreeMap::new(); SYSTEMS];
    }

    /// No more faults and no more limits.
    pub fn behave(&self) {
        lock(&self.world).conduct = Conduct::default();
    }

    pub fn journal(&self) -> Vec<Entry> {
        lock(&self.world).journal.clone()
    }

    /// Whether the leaver has nothing left in any system.
    pub fn closed(&self, leaver: usize) -> bool {
        let world = lock(&self.world);
        world.accounts.iter().all(|accounts| {
            accounts
                .get(&leaver)
                .is_some_and(|a| !a.active && a.groups == 0 && a.sessions == 0)
        })
    }
}

async fn serve(listeners: Vec<TcpListener>, world: Arc<Mutex<World>>) {
    let accepting = listeners.into_iter().enumerate().map(|(system, listener)| {
        let world = world.clone();
        async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, system, world.clone()));
            }
        }
    });
    futures::future::join_all(accepting).await;
}

/// One connection: one request after the other.
async fn converse(mut stream: TcpStream, system: usize, world: Arc<Mutex<World>>) {
    stream.set_nodelay(true).ok();
    let mut buffer = Vec::with_capacity(4096);
    while let Some(request) = wire::read(&mut stream, &mut buffer).await {
        let (answer, fate, late) = lock(&world).take(system, &request);
        match fate {
            Fate::LostBefore | Fate::LostAfter => return,
            Fate::Silence => return tokio::time::sleep(Duration::from_secs(30)).await,
            Fate::Served | Fate::Refused(_) => {}
        }
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

impl World {
    /// The answer to a request, what becomes of it, and how late it goes.
    fn take(&mut self, system: usize, request: &Request) -> (Vec<u8>, Fate, Duration) {
        let at = Instant::now();
        let (what, leaver) = understood(request);
        let early = at < self.windows[system].silent_until;
        let fate = self.fate(system, at);
        let done = matches!(fate, Fate::Served | Fate::LostAfter);
        let (status, body) = match fate {
            Fate::Refused(status) => (status, String::new()),
            _ if done => self.carry_out(system, what, leaver, request),
            _ => (0, String::new()),
        };
        let answered = matches!(fate, Fate::Served | Fate::Refused(_)).then_some(status);
        self.journal.push(Entry {
            at,
            system,
            leaver,
            what,
            status: answered,
            done,
            early,
        });
        (wire::answer(status, &body), fate, self.conduct.round_trip)
    }

    fn fate(&mut self, system: usize, at: Instant) -> Fate {
        if let Some(limit) = self.conduct.per_second {
            let window = &mut self.windows[system];
            if at.duration_since(window.since) >= Duration::from_secs(1) {
                (window.since, window.spent) = (at, 0);
            }
            window.spent += 1;
            if window.spent > limit {
                // `Retry-After` knows whole seconds only.
                window.silent_until = at + Duration::from_secs(1);
                return Fate::Refused(429);
            }
        }
        match self.roll() % 1000 {
            n if n >= self.conduct.faulty => Fate::Served,
            n => [
                Fate::Refused(500),
                Fate::LostBefore,
                Fate::LostAfter,
                Fate::Silence,
            ][n as usize % 4],
        }
    }

    /// `SplitMix64`.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn carry_out(&mut self, system: usize, what: What, leaver: usize, request: &Request) -> (u16, String) {
        let account = self.accounts[system].entry(leaver).or_insert(Account::NEW);
        match what {
            What::Find => (
                200,
                format!(
                    r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"startIndex":1,"itemsPerPage":1,"Resources":[{}]}}"#,
                    user(leaver, account)
                ),
            ),
            What::ReadUser => (200, user(leaver, account)),
            What::ReadSessions => {
                let each: Vec<_> = (0..account.sessions)
                    .map(|n| format!(r#"{{"id":"s{leaver}-{n}"}}"#))
                    .collect();
                (
                    200,
                    format!(
                        r#"{{"totalResults":{},"Resources":[{}]}}"#,
                        each.len(),
                        each.join(",")
                    ),
                )
            }
            What::Disable => {
                account.active = false;
                (200, user(leaver, account))
            }
            What::EndSessions => {
                account.sessions = 0;
                (204, String::new())
            }
            What::LeaveGroup => {
                let group = request
                    .path
                    .rsplit("/g")
                    .next()
                    .and_then(|n| n.parse::<u32>().ok())
                    .unwrap_or(0);
                account.groups &= !(1 << group);
                (204, String::new())
            }
            What::Unknown => (404, String::new()),
        }
    }
}

/// What is asked for, and about whom.
fn understood(request: &Request) -> (What, usize) {
    let number = |text: &str, before: &str| -> Option<usize> {
        let rest = text.split_once(before)?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let path = request.path.as_str();
    let (what, leaver) = match request.method.as_str() {
        "GET" if path.starts_with("/Users?") => (What::Find, number(path, "leaver-")),
        "GET" if path.ends_with("/sessions") => (What::ReadSessions, number(path, "/u")),
        "GET" if path.starts_with("/Users/") => (What::ReadUser, number(path, "/u")),
        "DELETE" if path.ends_with("/sessions") => (What::EndSessions, number(path, "/u")),
        "PATCH" if path.starts_with("/Users/") && request.body.contains("\"value\":false") => {
            (What::Disable, number(path, "/u"))
        }
        "PATCH" if path.starts_with("/Groups/") => {
            (What::LeaveGroup, number(&request.body, "members[value eq \\\"u"))
        }
        _ => (What::Unknown, None),
    };
    leaver.map_or((What::Unknown, 0), |leaver| (what, leaver))
}

fn user(leaver: usize, account: &Account) -> String {
    let groups: Vec<_> = (0..3)
        .filter(|n| account.groups & (1 << n) != 0)
        .map(|n| format!(r#"{{"value":"g{n}","display":"Group {n}"}}"#))
        .collect();
    format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"u{leaver}","userName":"leaver-{leaver}@bench.test","displayName":"Leaver {leaver}","active":{},"emails":[{{"value":"leaver-{leaver}@bench.test","primary":true}}],"groups":[{}],"meta":{{"resourceType":"User","version":"W/\"1\""}}}}"#,
        account.active,
        groups.join(",")
    )
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no request makes the systems panic")
}
