//! A system that finds people by their login name alone, and one that shows who somebody is only in each one's profile.

use super::*;

/// The company's folder, with another way to find accounts in the forge.
fn found_by(company: &Company, find: &str) -> Desk {
    let desk = Desk::of(company);
    let path = desk.0.join("definitions/forge.yaml");
    let definition = fs::read_to_string(&path).unwrap();
    let (before, rest) = definition.split_once("  account:\n").unwrap();
    let (_, after) = rest.split_once("  reads:\n").unwrap();
    let account =
        format!("  account:\n{find}    id: string(item.id)\n    name: item.login\n    shows: user\n");
    fs::write(&path, format!("{before}{account}\n  reads:\n{after}")).unwrap();
    desk
}

const BY_LOGIN: &str = "
    find:
      - get: /users
        query: { login: '${who.accountName}' }
        page: &pages { next: \"'link' in response.headers ? link(response.headers.link, 'next') : null\" }
    keys: { accountName: item.login }
";

/// The list tells ids alone.
const BY_PROFILE: &str = "
    find:
      - get: /users
        items: \"response.body.map(u, {'id': u.id})\"
        page: &pages { next: \"'link' in response.headers ? link(response.headers.link, 'next') : null\" }
    profile: { get: '/users/${string(item.id)}' }
    keys: { email: item.email, accountName: item.login }
";

fn conditions(desk: &Desk, row: &str) -> Vec<Value> {
    let status = fs::read_to_string(desk.leaver().join("status.json")).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let rows = status["systems"].as_array().unwrap();
    let found = rows.iter().find(|system| system["name"] == row);
    let found = found.unwrap_or_else(|| panic!("no row {row} in {rows:?}"));
    found["conditions"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_only_be_found_by_a_login_name_is_asked_about_and_done_once_it_is_given() {
    let company = Company::start().await.unwrap();
    let desk = found_by(&company, BY_LOGIN);
    let connector = desk.0.join("connectors/forge.yaml");
    let manifest = fs::read_to_string(&connector).unwrap();
    // Who takes over has no login name here.
    let manifest = manifest.replace("spec:", "spec:\n  facts: { skip: [RepositoriesHandedOver] }");
    fs::write(&connector, manifest).unwrap();

    let asked = desk.ran("run", &["--wait", "20s"]);
    assert_eq!(code(&asked), 3, "{}", text(&asked.stdout));
    let question = conditions(&desk, "forge");
    let question = question
        .iter()
        .find(|c| c["type"] == "Identified")
        .expect("a question");
    assert_eq!(question["status"], "False");
    let message = question["message"].as_str().unwrap();
    assert!(
        message.contains("spec.employee.accounts") && message.contains("{connector: forge, name: LOGIN}")
    );
    assert!(ways_in(&company).await > 0);

    fs::remove_dir_all(desk.state()).unwrap();
    let leaver = desk.0.join("jane-doe.yaml");
    let manifest = fs::read_to_string(&leaver).unwrap();
    // One more account than the one that is named already.
    let (before, after) = manifest.split_once("accounts:\n").unwrap();
    let indent = " ".repeat(after.find('-').unwrap());
    let named = format!(
        "accounts:\n{indent}- {{connector: forge, name: {}}}\n",
        JANE.handle
    );
    // A name that nobody has there ends nothing.
    let misspelt = named.replace(JANE.handle, "nobody-of-this-name");
    fs::write(&leaver, format!("{before}{misspelt}{after}")).unwrap();
    let asked = desk.ran("run", &["--wait", "20s"]);
    assert_eq!(code(&asked), 3, "{}", text(&asked.stdout));
    let row = conditions(&desk, "forge/nobody-of-this-name");
    assert!(
        row.iter().all(|c| c["reason"] == "NotFoundUncorroborated"),
        "{row:?}"
    );
    assert!(
        text(&asked.stdout).contains("correct it"),
        "{}",
        text(&asked.stdout)
    );
    fs::remove_dir_all(desk.state()).unwrap();
    fs::write(&leaver, format!("{before}{named}{after}")).unwrap();
    let done = desk.ran("run", &["--wait", "1m"]);
    assert_eq!(code(&done), 0, "{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(ways_in(&company).await, 0);
    let row = conditions(&desk, "forge");
    assert!(row.iter().all(|c| c["reason"] == "NoAccount"), "{row:?}");
    let message = format!("spec.employee.accounts names all accounts: {}", JANE.handle);
    assert_eq!(row[0]["message"], message);
    let row = conditions(&desk, &format!("forge/{}", JANE.handle));
    assert!(row.iter().all(|c| c["reason"] == "Verified"), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_only_known_by_a_profile_is_found_by_it() {
    let company = Company::start().await.unwrap();
    let desk = found_by(&company, BY_PROFILE);
    let done = desk.ran("run", &["--wait", "1m"]);
    assert_eq!(code(&done), 0, "{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(ways_in(&company).await, 0);
}
