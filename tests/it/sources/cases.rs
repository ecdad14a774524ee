//! The shared cases about HR systems, as they are: lists in a folder of a real OpenSSH, systems that `server.py` plays. Without
//! `../shared/cases` each is skipped; the same kinds are tested with inputs of our own beside this.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use offboard::sources::offboarding::ASKS;
use serde_json::{Value, json};

use crate::{
    operator::site::{Operator, PATIENCE, Site},
    support::{self, Scratch, Sshd, control_plane_with_admission, poll},
};

/// The shared cases, if they are here.
fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases/sources");
    if folder.join("source.yaml").exists() {
        return Some(folder);
    }
    eprintln!("skipped: ../shared/cases is not here");
    None
}

/// A source with an operator that reads it.
struct Case {
    site: Site,
    files: PathBuf,
    folder: PathBuf,
    operator: Option<Operator>,
    server: Option<Child>,
    _copy: Scratch,
}

impl Drop for Case {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            server.kill().ok();
            server.wait().ok();
        }
    }
}

impl Case {
    /// `source.yaml`, with the list's own inputs.
    fn list(stem: &str, inputs: Value) -> Option<Self> {
        let case = Self::new(stem)?;
        let server = support::sshd();
        let known = format!(
            "[127.0.0.1]:{} {}",
            server.port,
            server.public_key("host_ed25519")
        );
        let (user, key) = (server.user(), server.private_key("client_ed25519"));
        let secret = [
            ("username", user.as_str()),
            ("privateKey", &key),
            ("known_hosts", &known),
        ];
        case.site.secrets("hr", &secret);
        let text = fs::read_to_string(case.files.join("source.yaml")).unwrap();
        for mut object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            if object["kind"] == "Connector" {
                let all = object["spec"]["inputs"].as_object_mut().unwrap();
                all.insert("port".into(), server.port.into());
                all.insert("folder".into(), json!(case.folder));
                all.insert("files".into(), "workers-*.csv".into());
                all.extend(inputs.as_object().unwrap().clone());
            }
            case.site.apply(&object.to_string());
        }
        case.lets_many_through();
        Some(case)
    }

    /// A system that `server.py` plays, read by this definition.
    fn http(stem: &str, definition: &str, inputs: &str, secret: (&str, &str)) -> Option<Self> {
        let mut case = Self::new(stem)?;
        let url = case.serve();
        case.site.secret("hr", secret.0, secret.1);
        case.site
            .connector("hr", definition, &inputs.replace("URL", &url));
        case.site
            .policy("{cutoff: {time: '17:00', timeZone: Europe/Berlin}}");
        case.site.apply(
            "{apiVersion: offboard.dev/v1alpha1, kind: LeaverSource, metadata: {name: hr}, spec: {connectorRef: {name: hr}, \
             every: 10s, guard: {maxNew: 1000, maxPercent: 100}}}",
        );
        case.lets_many_through();
        Some(case)
    }

    /// Somebody has said yes to the guard of the source as it is.
    fn lets_many_through(&self) {
        let guard = self.site.get("leaversource/hr")["spec"]["guard"].clone();
        let agreed = json!({"status": {"guard": {"limits": guard}}}).to_string();
        let patch = [
            "patch",
            "leaversource/hr",
            "--subresource=status",
            "--type=merge",
            "-p",
            &agreed,
        ];
        self.site.kubectl(&patch, "").expect_ok();
    }

    fn new(stem: &str) -> Option<Self> {
        let files = cases()?;
        let site = Site::on(control_plane_with_admission(), stem);
        Some(Self {
            site,
            folder: support::sshd().folder(stem),
            _copy: Scratch::new("cases"),
            files,
            operator: None,
            server: None,
        })
    }

    /// Starts `server.py` over a copy of its data; returns its address.
    fn serve(&mut self) -> String {
        for entry in fs::read_dir(&self.files).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "json") {
                let text = fs::read(&path).unwrap();
                fs::write(self._copy.join(path.file_name().unwrap()), text).unwrap();
            }
        }
        let port = support::free_port();
        let program = fs::read_to_string(self.files.join("server.py")).unwrap();
        let program = program.replace("28731", &port.to_string());
        fs::write(self._copy.join("server.py"), program).unwrap();
        let server = Command::new("python3")
            .arg(self._copy.join("server.py"))
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.unwrap());
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(poll(PATIENCE, up));
        format!("http://127.0.0.1:{port}")
    }

    /// Puts a list into the folder as the newest, and starts the operator if there is none.
    fn reads(&mut self, file: &str) {
        let text = fs::read(self.files.join(file)).unwrap();
        let number = fs::read_dir(&self.folder).unwrap().count() + 1;
        Sshd::put(&self.folder.join(format!("workers-{number}.csv")), text);
        self.starts();
    }

    fn starts(&mut self) {
        if self.operator.is_none() {
            self.operator = Some(self.site.start());
        }
    }

    fn ready(&self) -> (String, String) {
        self.site.condition("leaversource/hr", "Ready")
    }

    /// The Offboarding of an address or number, if there is one.
    fn leaver(&self, who: &str) -> Option<Value> {
        let items = self.site.get("offboardings")["items"].clone();
        let is = |one: &&Value| {
            let employee = &one["spec"]["employee"];
            employee["email"] == who || employee["employeeID"] == who
        };
        items.as_array().unwrap().iter().find(is).cloned()
    }

    #[track_caller]
    fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let leavers = || self.site.get("offboardings")["items"].clone();
        let status = || self.site.get("leaversource/hr")["status"].clone();
        assert!(
            poll(PATIENCE, || reached(self)),
            "not {what}: {:#}\n{:#}\n{}",
            status(),
            leavers(),
            self.operator.as_ref().unwrap().log()
        );
    }

    /// Waits until the source was read to the end after this instant, in which these leave, by address or number.
    #[track_caller]
    fn leavers(&self, whom: &[&str]) {
        let all = |case: &Self| {
            let items = case.site.get("offboardings")["items"].clone();
            case.ready().0 != "Unknown/NotObserved"
                && case.site.get("leaversource/hr")["status"]["counts"].is_object()
                && items.as_array().unwrap().len() == whom.len()
                && whom.iter().all(|who| case.leaver(who).is_some())
        };
        self.until(&format!("exactly {whom:?}"), all);
    }
}

fn asked(leaver: Option<Value>) -> bool {
    leaver
        .is_some_and(|one| one["metadata"]["annotations"][ASKS].is_string() && one["spec"]["suspend"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn hr_corrects_itself() {
    let inputs = json!({
        "employmentEndsColumn": "contract_ends", "paidThroughColumn": "paid", "reasonColumn": "reason",
        "managerColumn": "manager", "timeZoneColumn": "tz",
    });
    let Some(mut case) = Case::list("case-corrected", inputs) else {
        return;
    };
    let url = case.serve();
    let portal = fs::read_to_string(case.files.join("portal.yaml")).unwrap();
    for mut object in serde_saphyr::from_multiple::<Value>(&portal).unwrap() {
        if object["kind"] == "ConnectorDefinition" {
            object["metadata"]["name"] = json!(case.site.namespace);
        }
        if object["kind"] != "Connector" {
            case.site.apply(&object.to_string());
            continue;
        }
        for app in ["a", "b"] {
            object["metadata"]["name"] = json!(format!("app-{app}"));
            object["spec"]["definition"] = json!(case.site.namespace);
            object["spec"]["inputs"]["url"] = json!(format!("{url}/app/{app}"));
            case.site.apply(&object.to_string());
        }
    }
    case.reads("corrected.1.csv");
    case.leavers(&["jane.doe@example.com"]);
    let first = case.leaver("jane.doe@example.com").unwrap();
    assert_eq!(first["spec"]["profile"]["manager"], "b@example.com");
    case.until("a zone that nobody knows is said", |case| {
        case.ready().1.contains("timeZone")
    });
    case.reads("corrected.2.csv");
    // Another address means somebody else, perhaps: that waits for a yes, and nothing ends meanwhile.
    case.until("asked", |case| asked(case.leaver("jane.doe@example.com")));
    let held = case.leaver("jane.doe@example.com").unwrap();
    let name = held["metadata"]["name"].as_str().unwrap();
    assert_ne!(
        case.site.condition(&format!("offboarding/{name}"), "Complete").0,
        "True/Complete"
    );
    let app = |app: &str| {
        let text = fs::read_to_string(case._copy.join(format!("app-{app}.json"))).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[0]["active"].clone()
    };
    assert_eq!((app("a"), app("b")), (json!(true), json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_ends_in_bamboohr_the_right_one_counts() {
    let case = Case::http("case-bamboohr", "bamboohr", "{url: 'URL'}", ("apiKey", "k"));
    let Some(mut case) = case else { return };
    case.starts();
    // Five of seven people: the guard holds them, and lists whom.
    let sets = |case: &Case| case.site.get("heldsets")["items"].clone();
    case.until("held", |case| sets(case)[0].is_object());
    let held = sets(&case)[0]["spec"]["changes"].clone();
    let of = |email: &str| held.as_array().unwrap().iter().find(|one| one["email"] == email);
    assert_eq!(of("twice@example.com").unwrap()["lastDay"], "2026-10-31");
    assert_eq!(of("sameday@example.com"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_inactive_in_scim_without_a_day_is_a_leaver() {
    let inputs = "{url: 'URL/scim', endDate: 'urn:example:hr:2.0:User/lastDay'}";
    let Some(mut case) = Case::http("case-scim", "scim-inbound", inputs, ("token", "t")) else {
        return;
    };
    case.starts();
    case.until("left", |case| case.leaver("left@example.com").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_cannot_be_meant_are_unusable() {
    let Some(mut case) = Case::list("case-two-digits", json!({"dateFormat": "%d.%m.%Y"})) else {
        return;
    };
    case.reads("two-digit-years.csv");
    case.until("said", |case| case.ready().1.contains("records are unusable"));
    let (ready, text) = case.ready();
    assert!(ready.starts_with("False/"), "{ready} {text}");
    assert!(text.contains("starts") || text.contains("lastDay"), "{text}");
    assert!(text.contains("record 1"), "{text}");
    case.leavers(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_shows_that_day_and_month_are_swapped() {
    let Some(mut case) = Case::list("case-day-month", json!({"dateFormat": "%m/%d/%Y"})) else {
        return;
    };
    case.reads("day-month.csv");
    case.until("said", |case| case.ready().1.contains("lastDay"));
    case.leavers(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_for_none_are_none_and_an_end_taken_back_stops_what_was_made() {
    let inputs = json!({"delimiter": ";", "dateFormat": "%d.%m.%Y"});
    let Some(mut case) = Case::list("case-no-end", inputs) else {
        return;
    };
    case.reads("no-end-in-words.1.csv");
    case.leavers(&["stay@example.com", "lea@example.com"]);
    case.reads("no-end-in-words.2.csv");
    case.until("stopped or asked", |case| {
        let stay = case.leaver("stay@example.com").unwrap();
        stay["spec"]["suspend"] == true || stay["metadata"]["annotations"][ASKS].is_string()
    });
    assert_ne!(case.leaver("lea@example.com").unwrap()["spec"]["suspend"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_is_nobodys_address_or_number() {
    let Some(mut case) = Case::list("case-placeholders", json!({})) else {
        return;
    };
    case.reads("placeholders.csv");
    case.leavers(&["2090", "2091", "good@example.com", "one@example.com"]);
    let of = |who: &str| case.leaver(who).unwrap()["spec"]["employee"].clone();
    assert!(of("2090")["email"].is_null() && of("2091")["email"].is_null());
    assert!(of("one@example.com")["employeeID"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_without_a_day_and_who_never_came_are_leavers() {
    for (stem, file, who) in [
        ("case-no-date", "left-without-a-date.csv", "fired@example.com"),
        ("case-no-show", "no-show.csv", "noshow@example.com"),
    ] {
        let Some(mut case) = Case::list(stem, json!({})) else {
            return;
        };
        case.reads(file);
        case.leavers(&[who]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_is_recognised_under_another_id() {
    let Some(mut case) = Case::list("case-new-ids", json!({})) else {
        return;
    };
    case.reads("new-ids.1.csv");
    case.leavers(&["conv@example.com"]);
    case.reads("new-ids.2.csv");
    case.until("asked", |case| asked(case.leaver("conv@example.com")));
    case.leavers(&["conv@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn which_rows_cannot_be_used_is_said() {
    let Some(mut case) = Case::list("case-reasons", json!({})) else {
        return;
    };
    case.reads("many-reasons.csv");
    case.until("said", |case| case.ready().1.contains("records are unusable"));
    let (ready, text) = case.ready();
    assert_eq!(ready, "False/Degraded", "{text}");
    for part in ["lastDay", "status", "record 21", "record 22"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        !text.contains('@') && !text.contains("Left the company"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_in_a_quoted_column_is_read() {
    let Some(mut case) = Case::list("case-line-break", json!({})) else {
        return;
    };
    case.reads("line-break.csv");
    case.leavers(&["a@example.com"]);
}
