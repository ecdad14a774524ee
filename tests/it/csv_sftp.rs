//! An HR list in a folder of a real OpenSSH, read by the built-in definition.

use std::{collections::BTreeMap, path::Path};

use offboard::{
    connectors::{People, assemble::Assembly},
    core::{
        fault::{Fault, Reason},
        people::{Census, Reach, WorkerStatus},
    },
    transport::{egress::Egress, secret::Credentials},
};
use serde_json::{Value, json};

use crate::support::{self, Sshd};

/// The people in a folder, with these inputs.
async fn census(folder: &Path, inputs: Value) -> Result<Census, Fault> {
    people(folder, inputs).census(Reach::Everyone).await
}

fn people(folder: &Path, inputs: Value) -> std::sync::Arc<dyn People> {
    let server = support::sshd();
    let mut spec = json!({
        "definition": "csv-sftp",
        "secretRef": { "name": "hr" },
        "inputs": { "host": "127.0.0.1", "port": server.port, "folder": folder, "files": "workers-*.csv", "quiet": "0s" },
    });
    for (name, value) in inputs.as_object().unwrap() {
        spec["inputs"][name] = value.clone();
    }
    let secret = [
        ("username", server.user()),
        ("privateKey", server.private_key("client_ed25519")),
        (
            "known_hosts",
            format!(
                "[127.0.0.1]:{} {}",
                server.port,
                server.public_key("host_ed25519")
            ),
        ),
    ];
    let secret = secret.map(|(key, value)| (key.to_owned(), value.into_bytes()));
    let assembly = Assembly::default()
        .with_egress(Egress::new(vec![]).with_named_loopback())
        .trusting_hosts();
    let definition = assembly.definition("csv-sftp", &BTreeMap::new()).unwrap();
    let connected = assembly
        .connect(
            "hr",
            &serde_json::from_value(spec).unwrap(),
            &definition,
            Credentials::from_data(secret, "1"),
        )
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(!connected.has_account);
    connected.people.unwrap()
}

/// A payroll as one in Germany writes it.
const PAYROLL: &[u8] = b"LOHN;2026-11-25;0001\r\n\
    Pers-Nr;Vertrag;Ausweis;Mail;Weitere;Name;Art;Status;Grund;Eintritt;Austritt;Bezahlt bis;Werk;Land;Abteilung;Zone;Chef\r\n\
    1001;1;E7;jane@corp.test;jane.born@corp.test, jd@corp.test;\"M\xfcller; Jane\";Angestellt;AKTIV;02;01.02.2020;31.12.2026;31.03.2027;Ulm;DE;IT;Europe/Berlin;1003\r\n\
    1002;1;E8;joe@corp.test;n/a;Joe;Extern;ausgetreten;07;01.02.2020;15.11.2026;;Ulm;DE;IT;Europe/Berlin;E9\r\n\
    1002;2;E8;joe@corp.test;;Joe;Angestellt;Aktiv;;16.11.2026;31.12.9999;;Ulm;DE;IT;Europe/Berlin;\r\n\
    1003;1;E9;boss@corp.test;;Ada;Angestellt;ELTERNZEIT;;01.02.2001;;;Wien;AT;IT;Europe/Vienna;\r\n\
    ENDE 00007\r\n";

fn payroll() -> Value {
    json!({
        "encoding": "Latin1", "delimiter": ";", "linesBefore": 1,
        "trailer": r"ENDE (\d+)", "trailerBeside": 3, "dateFormat": "%d.%m.%Y",
        "personColumn": "Pers-Nr", "recordColumn": "Vertrag", "employeeIDColumn": "Ausweis", "emailColumn": "Mail",
        "otherEmailsColumns": ["Weitere"],
        "nameColumn": "Name", "kindColumn": "Art", "statusColumn": "Status", "activeWords": ["aktiv"],
        "leaveWords": ["Elternzeit"], "terminatedWords": ["ausgetreten"], "reasonColumn": "Grund",
        "reasons": ["02=Resignation", "07=ContractEnd"], "startColumn": "Eintritt", "lastDayColumn": "Austritt",
        "paidThroughColumn": "Bezahlt bis", "siteColumn": "Werk", "countryColumn": "Land",
        "departmentColumn": "Abteilung", "timeZoneColumn": "Zone", "managerColumn": "Chef",
    })
}

#[tokio::test]
async fn a_payroll_list_becomes_people_in_the_normal_form() {
    let folder = support::sshd().folder("hr");
    Sshd::put(&folder.join("workers-1.csv"), PAYROLL);
    let census = census(&folder, payroll()).await.unwrap();
    assert!(census.everyone);
    assert_eq!(census.unusable, []);
    assert!(census.as_of.is_some(), "the file's last change");
    let expected = json!([
        {
            "person": "1001", "record": "1001/1", "employeeID": "E7", "email": "jane@corp.test",
            "otherEmails": ["jane.born@corp.test", "jd@corp.test"], "displayName": "Müller; Jane", "kind": "Angestellt", "status": "Active", "reason": "Resignation",
            "starts": "2020-02-01", "lastDay": "2026-12-31", "paidThrough": "2027-03-31", "site": "Ulm", "country": "DE",
            "department": "IT", "timeZone": "Europe/Berlin", "manager": "boss@corp.test",
        },
        {
            "person": "1002", "record": "1002/1", "employeeID": "E8", "email": "joe@corp.test", "displayName": "Joe",
            "kind": "Extern", "status": "Terminated", "reason": "ContractEnd", "starts": "2020-02-01",
            "lastDay": "2026-11-15", "site": "Ulm", "country": "DE", "department": "IT", "timeZone": "Europe/Berlin",
            "manager": "boss@corp.test",
        },
        {
            "person": "1002", "record": "1002/2", "employeeID": "E8", "email": "joe@corp.test", "displayName": "Joe",
            "kind": "Angestellt", "status": "Active", "starts": "2026-11-16", "site": "Ulm", "country": "DE",
            "department": "IT", "timeZone": "Europe/Berlin",
        },
        {
            "person": "1003", "record": "1003/1", "employeeID": "E9", "email": "boss@corp.test", "displayName": "Ada",
            "kind": "Angestellt", "status": "Leave", "starts": "2001-02-01", "site": "Wien", "country": "AT",
            "department": "IT", "timeZone": "Europe/Vienna",
        },
    ]);
    assert_eq!(serde_json::to_value(&census.workers).unwrap(), expected);
}

#[tokio::test]
async fn a_plain_list_needs_no_more_than_a_host_and_a_folder() {
    let folder = support::sshd().folder("hr");
    Sshd::put(
        &folder.join("workers-1.csv"),
        "person,employee_id,email,last_day,shoe\n1,E1,a@corp.test,2026-12-31,42\n2,E2,b@corp.test,,43\n",
    );
    let census = census(&folder, json!({})).await.unwrap();
    assert_eq!(census.unusable, []);
    let ends: Vec<Option<&str>> = census
        .workers
        .iter()
        .map(|worker| worker.last_day.as_deref())
        .collect();
    assert_eq!(ends, [Some("2026-12-31"), None]);
    assert!(
        census
            .workers
            .iter()
            .all(|worker| worker.status == WorkerStatus::Implied)
    );
}

#[tokio::test]
async fn a_list_that_is_cut_old_missing_or_of_other_columns_is_no_list() {
    let folder = support::sshd().folder("hr");
    let file = folder.join("workers-1.csv");
    let incomplete = |code: &str| Fault::permanent(Reason::Incomplete).with_code(code);
    let absent = Fault::permanent(Reason::NotFoundUncorroborated).with_code("sftp 2");
    assert_eq!(
        census(&folder, payroll()).await.unwrap_err(),
        absent,
        "nobody works here would be a guess"
    );
    let with = |name: &str, value: Value| {
        let mut inputs = payroll();
        inputs[name] = value;
        inputs
    };
    let cut = &PAYROLL[..PAYROLL.len() - 40];
    let short = String::from_utf8_lossy(PAYROLL).replace("00007", "00008");
    for (content, inputs, expected) in [
        (cut, payroll(), incomplete("no trailer")),
        (
            short.as_bytes(),
            with("encoding", json!("Utf8")),
            incomplete("trailer counts other rows"),
        ),
        (
            PAYROLL,
            with("encoding", json!("Utf8")),
            Fault::permanent(Reason::Malformed).with_code("not UTF-8"),
        ),
        (
            PAYROLL,
            with("noticeColumn", json!("Kuendigung")),
            Fault::permanent(Reason::Malformed).with_code("no column Kuendigung"),
        ),
        (PAYROLL, with("maxAge", json!("0s")), incomplete("stale")),
        (
            PAYROLL,
            with("quiet", json!("1h")),
            Fault::transient(Reason::Incomplete).with_code("still written"),
        ),
        (
            PAYROLL,
            with("marker", json!(".ok")),
            Fault::transient(Reason::Incomplete).with_code("no marker"),
        ),
    ] {
        Sshd::put(&file, content);
        assert_eq!(census(&folder, inputs).await.unwrap_err(), expected);
    }
    Sshd::put(&file, PAYROLL);
    assert_eq!(
        census(&folder, payroll()).await.unwrap().workers.len(),
        4,
        "and the same file whole is one"
    );
}

#[tokio::test]
async fn a_row_that_is_not_understood_is_set_apart_with_the_persons_other_rows() {
    let folder = support::sshd().folder("hr");
    let text = String::from_utf8_lossy(PAYROLL);
    let odd = text
        .replace("31.12.9999", "99.99.9999")
        .replace("ELTERNZEIT", "BEURLAUBT");
    Sshd::put(&folder.join("workers-1.csv"), odd);
    let mut inputs = payroll();
    inputs["encoding"] = json!("Utf8");
    let census = census(&folder, inputs).await.unwrap();
    let known: Vec<&str> = census
        .workers
        .iter()
        .map(|worker| worker.person.as_str())
        .collect();
    assert_eq!(known, ["1001"]);
    assert_eq!(census.unusable.len(), 3, "{:?}", census.unusable);
    let said = format!("{:?}", census.unusable);
    assert!(
        !said.contains("99.99") && !said.contains("BEURLAUBT"),
        "never a value: {said}"
    );
}

#[tokio::test]
async fn the_next_list_is_read_when_it_is_there() {
    let folder = support::sshd().folder("hr");
    let one = |id: &str| format!("person,employee_id,email,last_day\n{id},E,a@corp.test,\n");
    let people = people(
        &folder,
        json!({
            "dateInName": r"workers-(\d{8})", "dateInNameZone": "Europe/Berlin", "maxAge": "876000h",
        }),
    );
    for (name, id) in [("workers-20260101.csv", "1"), ("workers-20260102.csv", "2")] {
        Sshd::put(&folder.join(name), one(id));
        let census = people.census(Reach::Everyone).await.unwrap();
        assert_eq!(census.workers[0].person, id);
    }
    Sshd::put(&folder.join("workers-20251231.csv"), one("3"));
    let census = people.census(Reach::Everyone).await.unwrap();
    assert_eq!(census.workers[0].person, "2", "an older one that came later");
    assert_eq!(census.as_of, Some("2026-01-01T23:00:00Z".parse().unwrap()));
}

/// What a list of rows shows: each person's last day, and what is unusable.
async fn read(rows: &str, inputs: Value) -> (Vec<(String, Option<String>)>, Vec<String>) {
    let folder = support::sshd().folder("hr");
    let header = "person,employee_id,email,name,status,start,last_day,note\n";
    Sshd::put(&folder.join("workers-1.csv"), format!("{header}{rows}"));
    let mut all = json!({ "nameColumn": "name", "statusColumn": "status", "startColumn": "start" });
    for (name, value) in inputs.as_object().unwrap() {
        all[name] = value.clone();
    }
    let census = census(&folder, all).await.unwrap();
    let ends = census
        .workers
        .into_iter()
        .map(|worker| (worker.person, worker.last_day));
    let unusable = census
        .unusable
        .into_iter()
        .map(|(place, what)| format!("{place} {what}"));
    (ends.collect(), unusable.collect())
}

fn ends(of: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    of.iter()
        .map(|(person, day)| ((*person).to_owned(), day.map(str::to_owned)))
        .collect()
}

#[tokio::test]
async fn words_for_none_are_nobodys_address_number_or_end() {
    let rows = "p0,1000,n/a,A,Active,01.02.2020,,\n\
        p1,N/A,-,B,Active,00.00.0000,n/a,-\n\
        p2,1002,b@corp.test,Null,Active,01.02.2020,00.00.0000,\n\
        p3,1003,c@corp.test,C,Active,01.02.2020,31.12.9999,\n\
        p4,1004,d@corp.test,D,Active,01.02.2020,offen,\n\
        p5,1005,e@corp.test,E,Active,01.02.2020,31.12.2999,\n";
    let inputs = json!({ "dateFormat": "%d.%m.%Y", "none": ["Offen"] });
    let (known, unusable) = read(rows, inputs).await;
    assert_eq!(unusable, [""; 0]);
    let nobody = ["p0", "p1", "p2", "p3", "p4", "p5"].map(|person| (person, None));
    assert_eq!(known, ends(&nobody));
    let (known, unusable) = read(rows, json!({ "dateFormat": "%d.%m.%Y" })).await;
    assert_eq!(known.len(), 5);
    assert_eq!(unusable, ["record 5 people.worker.lastDay: not a date"]);
}

#[tokio::test]
async fn dates_that_could_mean_another_day_are_not_believed() {
    let short =
        "p1,1,a@corp.test,A,Active,01.02.20,04.12.26,\np2,2,b@corp.test,B,Active,01.02.2020,04.12.2026,\n";
    let (known, unusable) = read(short, json!({ "dateFormat": "%d.%m.%Y" })).await;
    assert_eq!(known, ends(&[("p2", Some("2026-12-04"))]));
    assert_eq!(
        unusable,
        ["record 1 people.worker.starts: the year has two digits: write four, or name a format with %y"]
    );
    let asked = json!({ "dateFormat": "%d.%m.%y" });
    let (known, _) = read("p1,1,a@corp.test,A,Active,01.02.20,04.12.26,\n", asked).await;
    assert_eq!(known, ends(&[("p1", Some("2026-12-04"))]));

    let swapped = "p1,1,a@corp.test,A,Active,01/02/2020,,\n\
        p2,2,b@corp.test,B,Active,01/02/2020,05/12/2026,\n\
        p3,3,c@corp.test,C,Active,01/02/2020,18/12/2026,\n";
    let (known, unusable) = read(swapped, json!({ "dateFormat": "%m/%d/%Y" })).await;
    assert_eq!(
        known,
        ends(&[("p1", None)]),
        "the fifth of December is not the twelfth of May"
    );
    assert_eq!(unusable.len(), 2, "{unusable:?}");
    let (known, _) = read(swapped, json!({ "dateFormat": "%d/%m/%Y" })).await;
    let read_right = [
        ("p1", None),
        ("p2", Some("2026-12-05")),
        ("p3", Some("2026-12-18")),
    ];
    assert_eq!(known, ends(&read_right));
}

#[tokio::test]
async fn a_value_in_quotes_may_have_line_breaks_and_a_quote_that_is_not_closed_is_no_list() {
    let rows = "p1,1,a@corp.test,A,Active,2020-02-01,2026-12-04,\"first\nsecond\"\n\
        p2,2,b@corp.test,B,Active,2020-02-01,,\"said \"\"no\"\"\r\n\r\n\"\n";
    let (known, unusable) = read(rows, json!({})).await;
    assert_eq!(known, ends(&[("p1", Some("2026-12-04")), ("p2", None)]));
    assert_eq!(unusable, [""; 0]);
    let folder = support::sshd().folder("hr");
    for open in [
        "1,E,a@corp.test,\"x\n2,F,b@corp.test,\n",
        "1,E,a@corp.test,\"x\n2,F,b@corp.test,\"y\"\n",
    ] {
        let text = format!("person,employee_id,email,last_day\n{open}");
        Sshd::put(&folder.join("workers-1.csv"), text);
        let fault = census(&folder, json!({})).await.unwrap_err();
        let expected = Fault::permanent(Reason::Malformed).with_code("quote not closed in row 2");
        assert_eq!(fault, expected);
    }
}
