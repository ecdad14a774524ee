use std::sync::Arc;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry,
    adapters::{Adapter, EntriesOnly, PagedResults},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};

use super::{
    tree::{Entry, LOCKED},
    *,
};

const BASE: &str = "dc=acme,dc=test";
const SERVICE: &str = "uid=svc,ou=services,dc=acme,dc=test";
const JANE: &str = "uid=jdoe,ou=people,dc=acme,dc=test";
const SAM: &str = "uid=slee,ou=people,dc=acme,dc=test";
const LEAVERS: &str = "ou=leavers,dc=acme,dc=test";

async fn directory() -> (Directory, Tls) {
    let mut tree = Tree::new(SERVICE, LEAVERS);
    tree.add(Entry::new(BASE, &[("objectClass", "organization")]));
    for unit in ["people", "services", "groups", "leavers"] {
        let dn = format!("ou={unit},{BASE}");
        tree.add(Entry::new(
            &dn,
            &[("objectClass", "organizationalUnit"), ("ou", unit)],
        ));
    }
    for (dn, uid, password) in [
        (JANE, "jdoe", "jane-pw"),
        (SAM, "slee", "sam-pw"),
        (SERVICE, "svc", "svc-pw"),
    ] {
        let values = [
            ("objectClass", "inetOrgPerson"),
            ("uid", uid),
            ("cn", uid),
            ("userPassword", password),
        ];
        tree.add(Entry::new(dn, &values));
    }
    for n in 0..5 {
        let values = [("objectClass", "groupOfNames"), ("member", JANE), ("member", SAM)];
        tree.add(Entry::new(&format!("cn=g{n},ou=groups,{BASE}"), &values));
    }
    let lonely = [("objectClass", "groupOfNames"), ("member", JANE)];
    tree.add(Entry::new(&format!("cn=lonely,ou=groups,{BASE}"), &lonely));
    let tls = Tls::new().unwrap();
    (Directory::start(tree, &tls).await.unwrap(), tls)
}

async fn connect(directory: &Directory, tls: &Tls) -> Ldap {
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(tls.authority.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let settings = LdapConnSettings::new().set_config(Arc::new(config));
    let (connection, ldap) = LdapConnAsync::with_settings(settings, directory.url())
        .await
        .unwrap();
    ldap3::drive!(connection);
    ldap
}

async fn login(directory: &Directory, tls: &Tls, dn: &str, password: &str) -> u32 {
    connect(directory, tls)
        .await
        .simple_bind(dn, password)
        .await
        .unwrap()
        .rc
}

async fn service(directory: &Directory, tls: &Tls) -> Ldap {
    let mut ldap = connect(directory, tls).await;
    ldap.simple_bind(SERVICE, "svc-pw")
        .await
        .unwrap()
        .success()
        .unwrap();
    ldap
}

fn replace<'a>(attribute: &'a str, value: &'a str) -> Vec<Mod<&'a str>> {
    vec![Mod::Replace(attribute, [value].into())]
}

#[tokio::test]
async fn a_password_logs_in_until_the_account_is_locked() {
    let (directory, tls) = directory().await;
    assert_eq!(login(&directory, &tls, JANE, "jane-pw").await, 0);
    assert_eq!(login(&directory, &tls, JANE, "wrong").await, 49);
    assert_eq!(login(&directory, &tls, JANE, "").await, 53);
    let mut svc = service(&directory, &tls).await;
    let locked = svc
        .modify(JANE, replace("pwdAccountLockedTime", LOCKED))
        .await
        .unwrap();
    assert_eq!(locked.rc, 0);
    assert_eq!(login(&directory, &tls, JANE, "jane-pw").await, 49);
    assert_eq!(login(&directory, &tls, SAM, "sam-pw").await, 0);
}

#[tokio::test]
async fn a_new_password_ends_a_lock_unless_both_come_together() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    let locked = || directory.look(|tree| tree.entry(JANE).unwrap().has("pwdAccountLockedTime", LOCKED));
    svc.modify(JANE, replace("pwdAccountLockedTime", LOCKED))
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(locked());
    svc.modify(JANE, replace("userPassword", "other"))
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(!locked());
    let both = [
        replace("pwdAccountLockedTime", LOCKED),
        replace("userPassword", "third"),
    ]
    .concat();
    svc.modify(JANE, both).await.unwrap().success().unwrap();
    assert!(locked());
}

#[tokio::test]
async fn a_filter_finds_and_memberships_are_shown_when_asked_for() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    let filter = "(&(objectClass=inetOrgPerson)(|(uid=JDOE)(uid=nobody))(!(uid=slee))(entryUUID=*))";
    let (found, _) = svc
        .search(BASE, Scope::Subtree, filter, ["cn", "memberOf"])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(found.len(), 1);
    let jane = SearchEntry::construct(found[0].clone());
    assert_eq!(jane.dn, JANE);
    assert_eq!(jane.attrs["memberOf"].len(), 6);
    assert_eq!(jane.attrs.len(), 2);
    let by_password = svc
        .search(BASE, Scope::Subtree, "(userPassword=jane-pw)", ["*", "+"])
        .await
        .unwrap();
    assert!(by_password.0.is_empty());
    let (groups, _) = svc
        .search(
            BASE,
            Scope::Subtree,
            &format!("(member=UID=jdoe, ou=people,{BASE})"),
            ["1.1"],
        )
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(groups.len(), 6);
}

#[tokio::test]
async fn pages_add_up_to_everything() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    let adapters: Vec<Box<dyn Adapter<_, _>>> =
        vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(4))];
    let mut search = svc
        .streaming_search_with(adapters, BASE, Scope::Subtree, "(objectClass=*)", ["1.1"])
        .await
        .unwrap();
    let mut names = Vec::new();
    while let Some(entry) = search.next().await.unwrap() {
        names.push(SearchEntry::construct(entry).dn);
    }
    assert_eq!(search.finish().await.rc, 0);
    assert_eq!(names.len(), 14);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 14);
}

#[tokio::test]
async fn memberships_end_one_by_one_and_the_last_member_cannot_go() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    let leave = || vec![Mod::Delete("member", [JANE].into())];
    let group = format!("cn=g0,ou=groups,{BASE}");
    assert_eq!(svc.modify(&group, leave()).await.unwrap().rc, 0);
    assert_eq!(svc.modify(&group, leave()).await.unwrap().rc, 16);
    let join = vec![Mod::Add("member", [SAM].into())];
    assert_eq!(svc.modify(&group, join).await.unwrap().rc, 20);
    let lonely = format!("cn=lonely,ou=groups,{BASE}");
    assert_eq!(svc.modify(&lonely, leave()).await.unwrap().rc, 65);
    let nowhere = format!("cn=nowhere,ou=groups,{BASE}");
    assert_eq!(svc.modify(&nowhere, leave()).await.unwrap().rc, 32);
    let left = directory.look(|tree| tree.entry(JANE).unwrap().values("memberOf").len());
    assert_eq!(left, 5);
}

#[tokio::test]
async fn nobody_changes_more_than_they_may() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    assert_eq!(
        svc.modify(JANE, replace("mail", "x@y.test")).await.unwrap().rc,
        50
    );
    assert_eq!(svc.modify(JANE, replace("entryUUID", "x")).await.unwrap().rc, 19);
    assert_eq!(
        svc.modify(JANE, replace("favouriteColour", "x"))
            .await
            .unwrap()
            .rc,
        17
    );
    assert_eq!(svc.delete(JANE).await.unwrap().rc, 50);
    let mut jane = connect(&directory, &tls).await;
    assert_eq!(
        jane.modify(JANE, replace("userPassword", "x")).await.unwrap().rc,
        50
    );
    jane.simple_bind(JANE, "jane-pw")
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        jane.modify(SAM, replace("userPassword", "x")).await.unwrap().rc,
        50
    );
    assert_eq!(
        jane.modify(JANE, replace("userPassword", "own"))
            .await
            .unwrap()
            .rc,
        0
    );
    assert_eq!(login(&directory, &tls, JANE, "own").await, 0);
    let mut nobody = connect(&directory, &tls).await;
    let hidden = nobody
        .search(BASE, Scope::Subtree, "(uid=jdoe)", ["*"])
        .await
        .unwrap();
    assert_eq!((hidden.0.len(), hidden.1.rc), (0, 32));
}

#[tokio::test]
async fn a_moved_entry_keeps_its_id_and_its_references() {
    let (directory, tls) = directory().await;
    let mut svc = service(&directory, &tls).await;
    let id = |dn: &str| directory.look(|tree| tree.entry(dn).map(|entry| entry.values("entryUUID").to_vec()));
    let before = id(JANE).unwrap();
    assert_eq!(
        svc.modifydn(JANE, "uid=jdoe", true, Some("ou=people,dc=acme,dc=test"))
            .await
            .unwrap()
            .rc,
        50
    );
    assert_eq!(
        svc.modifydn(JANE, "uid=jdoe", true, Some(LEAVERS))
            .await
            .unwrap()
            .rc,
        0
    );
    let moved = format!("uid=jdoe,{LEAVERS}");
    assert_eq!(id(&moved), Some(before));
    assert_eq!(id(JANE), None);
    assert_eq!(
        directory.look(|tree| tree.entry(&moved).unwrap().values("memberOf").len()),
        6
    );
    assert_eq!(login(&directory, &tls, &moved, "jane-pw").await, 0);
}

#[tokio::test]
async fn the_root_tells_what_is_served_and_whoami_who_is_bound() {
    let (directory, tls) = directory().await;
    let mut ldap = connect(&directory, &tls).await;
    let (root, _) = ldap
        .search("", Scope::Base, "(objectClass=*)", ["*"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let root = SearchEntry::construct(root[0].clone());
    assert_eq!(root.attrs["supportedLDAPVersion"], ["3"]);
    ldap.simple_bind(SAM, "sam-pw").await.unwrap().success().unwrap();
    let (answer, _) = ldap
        .extended(ldap3::exop::WhoAmI)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        answer.parse::<ldap3::exop::WhoAmIResp>().authzid,
        format!("dn:{SAM}")
    );
}
