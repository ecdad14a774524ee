//! `offboard definition try` and `record` against the demo company.

use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What was shown in the order of the alphabet, since reads go on beside each other; without the answers themselves, which tell
/// the time.
fn without_answers(shown: &str) -> Vec<&str> {
    let lines = shown.lines();
    let mut lines: Vec<&str> = lines.filter(|line| !line.contains("\"headers\"")).collect();
    lines.sort_unstable();
    lines
}

impl Desk {
    /// `offboard definition COMMAND` about Jane in the forge.
    fn definition(&self, command: &str, more: &[&str]) -> Output {
        let about = ["--leaver", "jane-doe", "--connector", "forge"];
        offboard(&[&["definition", command, "-f", self.path()], &about[..], more].concat())
            .output()
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_tried_recorded_and_tried_again_without_its_system() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let tried = desk.definition("try", &[]);
    assert_eq!(code(&tried), 0, "{}", all(&tried));
    let shown = text(&tried.stdout);
    for part in [
        "GET http://",
        "account.find[",
        "→ theirs",
        "reads.",
        ".holds: ",
        "does not hold",
        "would ",
    ] {
        assert!(shown.contains(part), "{part} in {}", all(&tried));
    }
    let secrets = fs::read_dir(desk.0.join("secrets")).unwrap();
    let secrets: Vec<String> = secrets
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.ends_with("token") || path.ends_with("password"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    assert!(!secrets.is_empty());
    assert!(secrets.iter().all(|secret| !all(&tried).contains(secret.trim())));

    let scratch = Scratch::new("answers");
    let folder = scratch.join("forge");
    let folder = folder.to_str().unwrap();
    let recorded = desk.definition("record", &["--to", folder]);
    assert_eq!(code(&recorded), 0, "{}", all(&recorded));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Path::new(folder)), 0o700, "it names people");
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "it names people");
        let written = fs::read_to_string(&file).unwrap();
        assert!(
            secrets.iter().all(|secret| !written.contains(secret.trim())),
            "{written}"
        );
    }
    let refused = desk.definition("record", &["--to", folder]);
    assert_eq!(code(&refused), 1, "{}", all(&refused));
    drop(company);

    let again = desk.definition("try", &["--answers", folder]);
    assert_eq!(code(&again), 0, "{}", all(&again));
    assert_eq!(
        without_answers(text(&again.stdout)),
        without_answers(shown),
        "the same as against the system"
    );

    fs::remove_file(format!("{folder}/001.json")).unwrap();
    let lost = desk.definition("try", &["--answers", folder]);
    assert_eq!(code(&lost), 1, "{}", all(&lost));
    assert!(
        text(&lost.stderr).contains("no recorded answer for GET http://"),
        "{}",
        all(&lost)
    );
}
