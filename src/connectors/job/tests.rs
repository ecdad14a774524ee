//! Real programs: what they get, what they may leave behind, when they end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant as Clock,
};

use crate::{core::fault::FaultKind, transport::system_clock};

use super::*;

/// A folder for what a test's program writes, gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("offboard-test-{:016x}", rand::random::<u64>()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn section() -> definition::JobDriver {
    definition::JobDriver {
        environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        ..definition::JobDriver::default()
    }
}

fn driver(section: definition::JobDriver) -> JobDriver {
    let secret = [("password".to_owned(), b"canary-9".to_vec())];
    let limit = Arc::new(Limit::new(None, None, system_clock()));
    let credentials = Credentials::from_data(secret, "1");
    JobDriver::new(
        section,
        ("legacy", None),
        credentials,
        limit,
        Arc::new(LocalRunner),
    )
    .unwrap()
}

fn shell(text: &str, input: Value) -> Resolved {
    Resolved::Job(JobRequest {
        run: ["/bin/sh", "-c", text].map(str::to_owned).into(),
        input,
        key: None,
    })
}

async fn ran(text: &str) -> Result<Answer, Fault> {
    driver(section())
        .perform(&shell(text, json!({"id": "7; rm -rf /"})))
        .await
}

#[tokio::test]
async fn it_gets_the_json_and_answers_with_json_by_pipe_or_by_file() {
    for text in [
        "cat",
        r#"cat "$OFFBOARD_INPUT""#,
        r#"cat > "$OFFBOARD_OUTPUT""#,
        r#"cat "$OFFBOARD_INPUT" > "$OFFBOARD_OUTPUT""#,
    ] {
        let answer = ran(text).await.unwrap();
        assert_eq!(*answer.value(), json!({"id": "7; rm -rf /"}), "{text}");
        assert_eq!((answer.response["exit"].clone(), answer.fault), (json!(0), None));
    }
}

#[tokio::test]
async fn it_has_no_environment_but_what_the_definition_names() {
    let mut section = section();
    section
        .secrets
        .insert("LEGACY_PASSWORD".into(), "password".into());
    let text = r#"env | cut -d= -f1 | sort | tr '\n' ' ' | sed 's/.*/"&"/'"#;
    let answer = driver(section).perform(&shell(text, json!({}))).await.unwrap();
    let names = answer.value().as_str().unwrap().split(' ').map(str::to_owned);
    // PWD is the shell's own.
    let names: Vec<String> = names
        .filter(|name| !matches!(name.as_str(), "" | "PWD" | "_" | "SHLVL" | "OLDPWD"))
        .collect();
    assert_eq!(
        names,
        ["LEGACY_PASSWORD", "OFFBOARD_INPUT", "OFFBOARD_OUTPUT", "PATH"]
    );
}

#[tokio::test]
async fn it_works_in_a_new_folder_of_its_own_that_is_gone_afterwards() {
    let text = r#"touch left; printf '"%s %s"' "$PWD" "$(stat -c %a .)""#;
    let answers = [ran(text).await.unwrap(), ran(text).await.unwrap()];
    let folders = answers.map(|answer| answer.value().as_str().unwrap().to_owned());
    assert_ne!(folders[0], folders[1]);
    for folder in folders {
        let (path, rights) = folder.split_once(' ').unwrap();
        assert_eq!(rights, "700");
        assert!(!Path::new(path).exists(), "{path}");
    }
}

#[tokio::test]
async fn its_exit_code_says_what_to_do_next() {
    for (exit, kind, reason) in [
        (1, FaultKind::Permanent, Reason::Refused),
        (69, FaultKind::Transient, Reason::SystemUnavailable),
        (75, FaultKind::Transient, Reason::SystemUnavailable),
        (77, FaultKind::Permanent, Reason::PermissionDenied),
    ] {
        let answer = ran(&format!("echo '{{\"why\": \"no\"}}'; exit {exit}"))
            .await
            .unwrap();
        let fault = answer.fault.unwrap();
        assert_eq!((fault.kind, fault.reason), (kind, reason));
        assert_eq!(fault.code, format!("exit {exit}"));
        assert_eq!(answer.response, json!({"exit": exit, "output": {"why": "no"}}));
    }
}

#[tokio::test]
async fn a_success_that_is_no_json_may_have_done_something() {
    let fault = ran("echo done").await.unwrap().fault.unwrap();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Malformed)
    );
    assert_eq!(ran("true").await.unwrap().value(), &Value::Null);
}

#[tokio::test]
async fn what_is_not_there_did_nothing() {
    let request = JobRequest {
        run: vec!["/no/such/program".into()],
        input: json!({}),
        key: None,
    };
    let fault = driver(section())
        .perform(&Resolved::Job(request))
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::Permanent, Reason::ConnectorNotReady)
    );
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let mut short = section();
    short.deadline = Some("20s".into());
    let fault = driver(short).perform(&shell("yes", json!({}))).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Incomplete)
    );
}

/// Neither is read: the one is deeper than any answer, the other has more values.
#[tokio::test]
async fn an_answer_that_is_deep_or_full_is_no_answer() {
    for text in [
        "head -c 900000 /dev/zero | tr '\\0' '['",
        "printf '['; head -c 300 /dev/zero | tr '\\0' '['; head -c 301 /dev/zero | tr '\\0' ']'",
        "printf '[0'; yes ',0' | head -n 400000 | tr -d '\\n'; printf ']'",
    ] {
        let answer = ran(text).await.unwrap();
        let fault = answer.fault.clone().unwrap();
        assert_eq!(
            (fault.kind, fault.reason, fault.code.as_str()),
            (FaultKind::UnknownOutcome, Reason::Malformed, "output"),
            "{text}"
        );
        assert_eq!(*answer.value(), Value::Null);
    }
}

#[tokio::test]
async fn at_the_time_limit_it_ends_with_everything_that_it_started() {
    let place = Place::new();
    let pids = place.file("pids");
    let mut short = section();
    short.deadline = Some("2s".into());
    // A child in the background, and one that ignores being asked to end.
    let text = format!(
        "sleep 1000 & echo $! > {pids}; (trap '' TERM HUP; sleep 1000) & echo $! >> {pids}; echo $$ >> {pids}; wait"
    );
    let fault = driver(short).perform(&shell(&text, json!({}))).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Timeout)
    );
    gone(&pids, 3);
}

#[tokio::test]
async fn what_it_leaves_running_ends_with_it_and_keeps_nobody_waiting() {
    let place = Place::new();
    let pids = place.file("pids");
    let text = format!("sleep 1000 & echo $! > {pids}; echo 1");
    assert_eq!(ran(&text).await.unwrap().value(), &json!(1));
    gone(&pids, 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_it_too() {
    let place = Place::new();
    let pids = place.file("pids");
    let text = format!("echo $$ > {pids}.part; mv {pids}.part {pids}; sleep 1000");
    let driver = driver(section());
    let request = shell(&text, json!({}));
    let written = async {
        while !Path::new(&pids).exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = driver.perform(&request) => panic!("it does not end"),
        () = written => {}
    }
    drop(driver);
    gone(&pids, 1);
}

/// None of the processes in the file runs any more. A dead one may wait for whoever collects it.
fn gone(pids: &str, number: usize) {
    let text = fs::read_to_string(pids).unwrap();
    assert_eq!(text.lines().count(), number, "{text}");
    let began = Clock::now();
    for pid in text.lines() {
        let alive = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            state.is_some_and(|state| state != 'Z' && state != 'X')
        };
        while alive() {
            assert!(began.elapsed() < Duration::from_secs(60), "{pid} still runs");
            std::thread::yield_now();
        }
    }
}

#[test]
fn without_the_secret_that_it_needs_there_is_no_driver() {
    let mut section = section();
    section.secrets.insert("TOKEN".into(), "token".into());
    let limit = Arc::new(Limit::new(None, None, system_clock()));
    let made = JobDriver::new(
        section,
        ("legacy", None),
        Credentials::default(),
        limit,
        Arc::new(LocalRunner),
    );
    assert!(matches!(made.err(), Some(SetupError::Secret(_))));
}
