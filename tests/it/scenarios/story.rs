//! A scenario as its folder in `examples/scenarios` tells it: its files on the servers of this machine, its README's commands
//! one after the other, each of which must print what the README shows.
//!
//! What is not this machine's is put in its place, and nothing else: addresses, ports, logins, how often is looked, and the
//! namespace. Every address gets a part that no other test has, so that servers can be shared. In the examples it is
//! [`WRITTEN`]: all dates are moved by as many days as have passed since.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, date},
    tz::TimeZone,
};
use serde_json::{Value, json};

use super::{
    readme::{commands, moved, words},
    staff::Staff,
};
use crate::{
    operator::site::{Operator, PATIENCE, Site},
    support::{self, Postgres, Ran, Scratch, Slapd, Sshd, poll},
};

/// The day on which the examples play.
const WRITTEN: Date = date(2026, 6, 1);
/// Where the examples' addresses are.
const MAIL: &str = "@example.com";

/// The uid in an example's Approval, for its reader to replace.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// The plan in it.
pub const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A scenario that goes on.
pub struct Story {
    pub site: Site,
    pub staff: Staff,
    /// The examples, with this machine's addresses.
    copy: Scratch,
    folder: String,
    /// Commands of the README that are not run yet, and what they print.
    commands: VecDeque<(String, String)>,
    /// Where HR exports to.
    exports: Option<PathBuf>,
    operator: Option<Operator>,
    /// By how many days dates are moved.
    days: i32,
    finished: bool,
}

impl Story {
    /// Opens the example `folder`, whose README speaks of these people. They have accounts in the directory and the warehouse,
    /// as `sam.lee` has.
    pub fn open(folder: &str, people: &[&str]) -> Self {
        Self::open_with(folder, people, &[])
    }

    /// The same, with other words in place of some: times that nobody wants to wait for.
    pub fn open_with(folder: &str, people: &[&str], instead: &[(&str, &str)]) -> Self {
        let site = Site::on(support::control_plane_with_admission(), folder);
        // Who takes over where there is no manager, by `common/policy.yaml`.
        let staff = Staff::hire(&[people, &["sam.lee"]].concat());
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let mut story = Self {
            days: WRITTEN.until(today).unwrap().get_days(),
            copy: Scratch::new("story"),
            folder: format!("examples/scenarios/{folder}"),
            commands: VecDeque::new(),
            exports: None,
            operator: None,
            finished: false,
            site,
            staff,
        };
        story.copy(Path::new("examples/scenarios/common"), instead);
        story.copy(Path::new(&story.folder), instead);
        if story.has("source.yaml") {
            story.exports = Some(support::sshd().folder("hr"));
            story.copy(Path::new("examples/scenarios/hr"), instead);
        }
        if story.has("rights.yaml") {
            story.site.user_roles();
        }
        story.commands = commands(&story.read("README.md"));
        story
    }

    fn has(&self, file: &str) -> bool {
        self.copy.join(&self.folder).join(file).exists()
    }

    /// Starts the operator as the chart does.
    pub fn operator(&mut self, more: &[&str]) -> &Operator {
        let operator = self.site.start_with(more);
        self.operator.insert(operator)
    }

    /// Runs the README's next command, which begins like this, until it prints what the README shows.
    #[track_caller]
    pub fn next(&mut self, begins: &str) -> String {
        let (command, shown) = self
            .commands
            .pop_front()
            .expect("the README has one more command");
        assert!(
            command.starts_with(begins),
            "the README's next command is not {begins}:\n{command}"
        );
        let waits = command.starts_with("kubectl get");
        let printed = |ran: &Ran| ran.ok() && (shown.is_empty() || words(&ran.stdout) == words(&shown));
        if waits {
            poll(PATIENCE * 2, || printed(&self.run(&command)));
        }
        let ran = self.run(&command);
        assert!(
            printed(&ran),
            "$ {command}\n{}{}\nand not, as the README says,\n{shown}\n{}\n{}",
            ran.stdout,
            ran.stderr,
            self.site
                .kubectl(&["get", "leavers,leaversources", "-o", "yaml"], "")
                .stdout,
            self.operator.as_ref().map(Operator::log).unwrap_or_default()
        );
        ran.stdout
    }

    /// Begins as all of them do: applies the files, with the operator running.
    #[track_caller]
    pub fn begin(&mut self) {
        self.operator(&[]);
        self.next("kubectl apply");
    }

    fn run(&self, command: &str) -> Ran {
        self.site.shell(command, &self.copy)
    }

    /// A file of the example, as it is applied here.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.copy.join(&self.folder).join(file)).unwrap()
    }

    /// Puts `value` in place of `placeholder` in a file of the example.
    pub fn fill(&self, file: &str, placeholder: &str, value: &str) {
        let text = self.read(file);
        assert!(text.contains(placeholder), "{file} has no {placeholder}");
        fs::write(
            self.copy.join(&self.folder).join(file),
            text.replace(placeholder, value),
        )
        .unwrap();
    }

    /// From now on the README has `new` where it has `old`.
    pub fn reads(&mut self, old: &str, new: &str) {
        for (_, shown) in &mut self.commands {
            *shown = shown.replace(old, new);
        }
    }

    /// Puts what an Approval must name into a file that has one, as its reader does.
    pub fn fill_approval(&self, file: &str, uid: &str, plan: &str) {
        self.fill(file, NOBODY, uid);
        self.fill(file, NOTHING, plan);
    }

    /// HR exports this list: a file of the example, and a hundred people more whom nothing happens to.
    pub fn export(&self, file: &str) {
        self.export_text(&self.read(file));
    }

    /// HR exports this list, with a hundred people more before its last line.
    pub fn export_text(&self, list: &str) {
        let (list, _) = list.trim_end().rsplit_once('\n').unwrap();
        let columns = list.lines().next().unwrap().split(',').count();
        let tag = &self.staff.tag;
        let one = |n: u32| {
            let mut row = format!("staff{n},1,9{n:03},staff{n}.{tag}{MAIL},Staff {n},Employee,Active");
            row += &",".repeat(columns - 7);
            row + "\n"
        };
        self.export_whole(&format!("{list}\n{}", (0..100).map(one).collect::<String>()));
    }

    /// HR exports exactly these rows.
    pub fn export_whole(&self, rows: &str) {
        let folder = self.exports.as_ref().expect("the example has a source");
        let people = rows.trim_end().lines().count() - 1;
        // As an export must be: whole from the first moment.
        let written = folder.join("written");
        Sshd::put(&written, format!("{}\nTRAILER,{people}\n", rows.trim_end()));
        fs::rename(written, folder.join("workers-acme.csv")).unwrap();
    }

    /// An Offboarding, such as `jane-doe`.
    pub fn leaver(&self, name: &str) -> Value {
        self.site.get(&format!("offboarding/{name}"))
    }

    /// The status of the source.
    pub fn source(&self) -> Value {
        self.site.get("leaversource/hr")["status"].clone()
    }

    /// The names of all Offboardings.
    pub fn leavers(&self) -> Vec<String> {
        let all = self.site.get("offboardings")["items"].clone();
        let names = all.as_array().unwrap().iter();
        names
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until `ready`.
    #[track_caller]
    pub fn until(&self, ready: impl Fn() -> bool) {
        assert!(
            poll(PATIENCE, ready),
            "{}\n{}",
            self.site
                .kubectl(&["get", "leavers,leaversources", "-o", "yaml"], "")
                .stdout,
            self.operator.as_ref().map(Operator::log).unwrap_or_default()
        );
    }

    /// Does something, and waits until a leaver was looked at after it.
    #[track_caller]
    pub fn after_a_pass(&self, what: impl FnOnce()) {
        let passes = || {
            self.operator
                .as_ref()
                .map_or(0, |operator| operator.passes("done"))
        };
        let before = passes();
        what();
        self.until(|| passes() > before);
    }

    /// Nothing of the README is left.
    #[track_caller]
    pub fn end(mut self) {
        assert!(self.commands.is_empty(), "not run: {:#?}", self.commands);
        self.finished = true;
    }

    /// Copies a folder of the examples, with this machine's addresses.
    fn copy(&self, folder: &Path, instead: &[(&str, &str)]) {
        let to = self.copy.join(folder);
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() {
                self.copy(&folder.join(name), instead);
                continue;
            }
            let mut text = self.placed(&fs::read_to_string(&path).unwrap(), instead);
            if path.extension().is_some_and(|end| end == "yaml") {
                let objects = serde_saphyr::from_multiple::<Value>(&text).unwrap();
                let objects = objects.into_iter().map(|object| self.fitted(object));
                text = objects.map(|object| format!("---\n{object}\n")).collect();
            }
            fs::write(to.join(name), text).unwrap();
        }
    }

    /// A text with this story's people, namespace and days.
    fn placed(&self, text: &str, instead: &[(&str, &str)]) -> String {
        // Marked first, so that a day that is put in is not moved too.
        let marks = instead.iter().enumerate();
        let marked = marks.fold(text.to_owned(), |text, (n, (from, _))| {
            text.replace(from, &format!("<{n}>"))
        });
        let marks = instead.iter().enumerate();
        marks
            .fold(moved(&marked, self.days), |text, (n, (_, to))| {
                text.replace(&format!("<{n}>"), to)
            })
            .replace(MAIL, &format!(".{}{MAIL}", self.staff.tag))
            .replace("-n offboarding", &format!("-n {}", self.site.namespace))
    }

    fn fitted(&self, mut object: Value) -> Value {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match object["kind"].as_str().unwrap_or_default() {
            "Connector" => {
                let definition = object["spec"]["definition"].as_str().unwrap().to_owned();
                support::replace(&mut object, "/spec/inputs", &self.inputs(&definition));
            }
            "Secret" => {
                support::replace(&mut object, "/stringData", &login(&name));
                object["metadata"]["annotations"] = support::scope("");
            }
            "LeaverSource" => support::replace(&mut object, "/spec", &json!({"every": "10s"})),
            _ => {}
        }
        object
    }

    fn inputs(&self, definition: &str) -> Value {
        match definition {
            "openldap" => json!({
                "url": support::slapd().ldaps, "base": Slapd::BASE,
                "defaultPolicy": format!("cn=default,ou=policies,{}", Slapd::BASE),
            }),
            "postgresql" => {
                json!({"host": "localhost", "port": support::postgres().port, "match": "EmailLocalPart"})
            }
            "csv-sftp" => json!({
                "host": "127.0.0.1", "port": support::sshd().port, "folder": self.exports, "quiet": "0s",
                "hostKeys": support::sshd().fingerprint("host_ed25519"),
            }),
            _ => json!({}),
        }
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let left_alone = !self.finished && !std::thread::panicking();
        assert!(!left_alone, "a story is told to its end");
    }
}

/// What the Secret of this name holds here.
fn login(secret: &str) -> Value {
    let login = |username: &str, password: &str, tls: &support::Certificate| json!({"username": username, "password": password, "ca.crt": tls.ca_pem()});
    match secret {
        "directory-bind" => login(Slapd::SERVICE, Slapd::SERVICE_PASSWORD, &support::slapd().tls),
        "warehouse-admin" => login(
            Postgres::OPERATOR,
            Postgres::OPERATOR_PASSWORD,
            &support::postgres().tls,
        ),
        "hr-list-login" => {
            let server = support::sshd();
            json!({"username": server.user(), "privateKey": server.private_key("client_ed25519")})
        }
        other => panic!("no login for {other}"),
    }
}

/// A cutoff that is a minute or so ahead, as day and time of day in a time zone.
pub fn soon(zone: &str) -> (Timestamp, String, String) {
    let at = Timestamp::now() + SignedDuration::from_secs(5 + 59);
    let at = Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap();
    let there = at.to_zoned(TimeZone::get(zone).unwrap());
    (at, there.date().to_string(), there.strftime("%H:%M").to_string())
}
