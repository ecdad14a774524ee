//! What a definition over SFTP may say, and what it sends.

use super::*;
use crate::connectors::Keys;
use crate::connectors::driver::{Believed, Content, Encoding, SftpRequest};

const FILES: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: files }
spec:
  title: Files
  inputs:
    host: {}
    folder: { default: '/data' }
    inbox: { default: 'in/*.csv' }
    oldest: { default: 26h }
    marker: { optional: true }
  sftp: { host: '${inputs.host}', port: '22', folder: '${inputs.folder}' }
  account:
    find:
      - file: ${inputs.inbox}
        csv: { delimiter: ;, columns: [id] }
        trust:
          maxAge: ${inputs.oldest}
          marker: "${inputs.?marker.orValue(null)}"
          trailer: { pattern: 'END (\d+)', beside: '1' }
          date: { in: FirstLine, pattern: '(\d{8})', format: '%Y%m%d', zone: Europe/Berlin }
        items: response.rows.filter(row, row.id == who.employeeID)
    id: item.id
    name: item.id
    same: item.id == who.employeeID
  reads:
    acks: { list: 'acks/${account.id}-*.ok' }
  facts:
    Gone:
      class: Record
      holds: size(reads.acks) > 0
      act:
        - { write: 'out/${account.id}-${key}.csv', encoding: Latin1, csv: { delimiter: ; }, rows: '[[account.id, 7, null]]' }
        - { move: 'in/${account.id}.csv', into: done }
        - { delete: 'lock/${account.id}' }
"#;

/// Answers every request with what it was handed.
struct Echo(Mutex<Vec<SftpRequest>>);

#[async_trait]
impl Driver for Echo {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        let Resolved::Sftp(request) = request else {
            panic!("{request:?}")
        };
        self.0.lock().push(SftpRequest::clone(request));
        let rows = json!([{ "id": "1" }, { "id": "2" }]);
        Ok(Answer {
            part: None,
            response: json!({ "code": 0, "rows": rows, "files": [] }),
            value: json!([]),
            fault: None,
            date: None,
            retry_at: None,
            rows: None,
            memory: Default::default(),
        })
    }
}

fn connector(id: &str) -> (Declarative, Arc<Echo>, Subject) {
    let echo = Arc::new(Echo(Mutex::default()));
    let inputs = BTreeMap::from([("host".to_owned(), json!("files.corp.test"))]);
    let connector = sound(FILES)
        .build(&inputs, Options::default(), echo.clone())
        .unwrap();
    let account = Account {
        id: id.to_owned(),
        name: id.to_owned(),
        item: Value::Null.into(),
        doubt: None,
        keys: vec![],
    };
    (connector, echo, subject_of(account))
}

fn subject_of(account: Account) -> Subject {
    Subject {
        who: Person {
            employee_id: Some(account.id.clone()),
            ..Person::default()
        },
        account,
        successor: None,
        ledger: SystemLedger::default(),
        cutoff: "2026-11-25T00:00:00Z".parse().unwrap(),
        now: "2026-11-25T12:00:00Z".parse().unwrap(),
        keys: Keys::default(),
    }
}

#[tokio::test]
async fn a_file_is_asked_for_with_everything_that_makes_it_believed() {
    let (connector, echo, subject) = connector("2");
    let found = connector.find(&subject.who).await.unwrap();
    assert_eq!(found.len(), 1);
    let asked = echo.0.lock().remove(0);
    let SftpRequest::Read {
        pattern,
        encoding,
        table,
        trust,
    } = asked
    else {
        panic!("{asked:?}")
    };
    assert_eq!((pattern.as_str(), encoding), ("/data/in/*.csv", Encoding::Utf8));
    assert_eq!(table.unwrap().columns, ["id"]);
    let Believed {
        max_age,
        quiet,
        marker,
        trailer,
        date,
    } = trust;
    assert_eq!(max_age, Some(jiff::SignedDuration::from_hours(26)));
    assert_eq!(
        (quiet, marker),
        (None, None),
        "a rule that gives null does not apply"
    );
    assert_eq!(trailer, Some((r"END (\d+)".to_owned(), 1)));
    assert_eq!(date.unwrap().zone.as_deref(), Some("Europe/Berlin"));
}

#[tokio::test]
async fn what_is_sent_is_in_its_folder_whatever_the_account_is_called() {
    let (connector, echo, subject) = connector("7*");
    let readings = connector.observe(&subject, &["Gone"]).await;
    let sight = connector.sight(&subject, "Gone", &readings);
    let act = sight.act.unwrap();
    connector
        .act(&subject, &act, &Order::new(Key("k1".into()), &|| true))
        .await
        .unwrap();
    let sent = echo.0.lock().clone();
    let path = "/data/out/7*-k1.csv".to_owned();
    let rows = vec![vec!["7*".to_owned(), "7".to_owned(), String::new()]];
    let content = Content::Rows {
        delimiter: ";".into(),
        rows,
    };
    assert_eq!(
        sent,
        [
            SftpRequest::List {
                pattern: "/data/acks/7\\*-*.ok".into()
            },
            SftpRequest::Write {
                path,
                encoding: Encoding::Latin1,
                content
            },
            SftpRequest::Move {
                path: "/data/in/7*.csv".into(),
                into: "/data/done".into()
            },
            SftpRequest::Delete {
                path: "/data/lock/7*".into()
            },
        ]
    );
}

#[tokio::test]
async fn an_account_whose_name_is_a_path_is_never_sent() {
    for id in ["../../etc/passwd", "..", "a/b", "a\\b", "a\0"] {
        let (connector, echo, subject) = connector(id);
        let readings = connector.observe(&subject, &["Gone"]).await;
        let fault = readings["acks"].clone().unwrap_err();
        assert_eq!(fault.reason, Reason::Malformed, "{id}");
        let seen = BTreeMap::from([("acks".to_owned(), Ok(json!([]).into()))]);
        assert!(
            matches!(
                connector.sight(&subject, "Gone", &seen).truth,
                Truth::Unreadable(_)
            ),
            "{id}"
        );
        assert!(echo.0.lock().is_empty(), "{id}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let find = "account.find[0]";
    for (from, to, complaint) in [
        (
            "file: ${inputs.inbox}",
            "file: 'in*/a.csv'",
            format!("{find}.file: only the last part"),
        ),
        (
            "delimiter: ;, columns: [id]",
            "delimiter: ab",
            format!("{find}.csv.delimiter: must be one"),
        ),
        (
            "columns: [id]",
            "header: false",
            format!("{find}.csv.columns: missing"),
        ),
        (
            "columns: [id]",
            "skip: some",
            format!("{find}.csv.skip: must be a whole number"),
        ),
        (
            "maxAge: ${inputs.oldest}",
            "maxAge: soon",
            format!("{find}.trust.maxAge: not a duration"),
        ),
        (
            r"'END (\d+)'",
            r"'END \d+'",
            format!("{find}.trust.trailer.pattern: needs a group"),
        ),
        (
            r"'END (\d+)'",
            "'END ('",
            format!("{find}.trust.trailer.pattern: not a regular"),
        ),
        (
            ", zone: Europe/Berlin",
            "",
            format!("{find}.trust.date.zone: missing"),
        ),
        (
            "in: FirstLine",
            "in: Header",
            format!("{find}.trust.date.in: unknown variant"),
        ),
        (
            "list: 'acks",
            "write: 'acks",
            "reads.acks.write: a look changes nothing".to_owned(),
        ),
        (
            "encoding: Latin1",
            "encoding: Ebcdic",
            "facts.Gone.act[0].encoding: must be".to_owned(),
        ),
        (
            "rows: '[[",
            "text: x, rows: '[[",
            "facts.Gone.act[0]: exactly one of text and rows".to_owned(),
        ),
        (", into: done", "", "facts.Gone.act[1].into: missing".to_owned()),
        (
            "-${key}.csv",
            "-${random}.csv",
            "facts.Gone.act[0].write: 'random'".to_owned(),
        ),
        (
            "delete: 'lock/",
            "statement: 'lock/",
            "facts.Gone.act[2].statement: belongs to sql".to_owned(),
        ),
        (
            "delete: 'lock",
            "csv: {}, delete: 'lock",
            "facts.Gone.act[2].csv: only goes with file".to_owned(),
        ),
        (
            "port: '22'",
            "port: '${inputs.prt}'",
            "inputs: the driver section uses the input 'prt'".to_owned(),
        ),
        (
            "port: '22'",
            "port: '22', deadline: soon",
            "sftp.deadline: not a duration".to_owned(),
        ),
        (
            "sftp: {",
            "sql: { dialect: Mysql, host: a, port: '1' }\n  sftp: {",
            "spec: exactly one of".to_owned(),
        ),
    ] {
        let text = FILES.replace(from, to);
        assert_ne!(text, FILES, "{from}");
        let problems = wrong(&text).to_string();
        assert!(problems.contains(&complaint), "{complaint} in\n{problems}");
    }
}
