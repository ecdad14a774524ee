//! The objects that this organisation has, as far as an offboarding meets them. From the Object Reference.

use serde_json::{Map, Value};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An id or a reference.
    Id,
    /// A text.
    Text,
    /// True or false.
    Flag,
    /// A date and time.
    Date,
    /// A number.
    Number,
}

/// An object.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// `Account`.
    pub name: &'static str,
    /// The first three characters of its ids.
    pub prefix: &'static str,
    /// Belongs to Setup: never changed together with records.
    pub setup: bool,
    /// Fields beyond `Id`, with what they hold.
    pub fields: &'static [(&'static str, Kind)],
    /// Fields that `update()` may set.
    pub updatable: &'static [&'static str],
    /// Whether `delete()` is supported.
    pub deletable: bool,
    /// Relationship name, reference field, object.
    pub relations: &'static [(&'static str, &'static str, &'static str)],
}

use Kind::{Date, Flag, Id, Number, Text};

const OWNED: &[(&str, Kind)] = &[
    ("Name", Text),
    ("OwnerId", Id),
    ("LastModifiedDate", Date),
    ("Status", Text),
    ("IsClosed", Flag),
    ("IsConverted", Flag),
];
const OWNER: &[(&str, &str, &str)] = &[("Owner", "OwnerId", "User")];

const fn owned(name: &'static str, prefix: &'static str) -> Object {
    Object {
        name,
        prefix,
        setup: false,
        fields: OWNED,
        updatable: &["Name", "OwnerId", "Status"],
        deletable: true,
        relations: OWNER,
    }
}

const fn setup(
    name: &'static str,
    prefix: &'static str,
    fields: &'static [(&'static str, Kind)],
    relations: &'static [(&'static str, &'static str, &'static str)],
) -> Object {
    Object {
        name,
        prefix,
        setup: true,
        fields,
        updatable: &[],
        deletable: true,
        relations,
    }
}

const fn fixed(
    name: &'static str,
    prefix: &'static str,
    fields: &'static [(&'static str, Kind)],
    updatable: &'static [&'static str],
    relations: &'static [(&'static str, &'static str, &'static str)],
) -> Object {
    Object {
        updatable,
        deletable: false,
        ..setup(name, prefix, fields, relations)
    }
}

const OBJECTS: &[Object] = &[
    fixed(
        "User",
        "005",
        &[
            ("Username", Text),
            ("Email", Text),
            ("Name", Text),
            ("IsActive", Flag),
            ("FederationIdentifier", Text),
            ("EmployeeNumber", Text),
            ("UserType", Text),
            ("ManagerId", Id),
            ("DelegatedApproverId", Id),
            ("LastModifiedDate", Date),
        ],
        &[
            "IsActive",
            "Email",
            "ManagerId",
            "DelegatedApproverId",
            "FederationIdentifier",
        ],
        &[("Manager", "ManagerId", "User")],
    ),
    fixed(
        "UserLogin",
        "0Yw",
        &[
            ("UserId", Id),
            ("IsFrozen", Flag),
            ("IsPasswordLocked", Flag),
            ("LastModifiedDate", Date),
        ],
        &["IsFrozen", "IsPasswordLocked"],
        &[],
    ),
    setup(
        "AuthSession",
        "0Ak",
        &[
            ("UsersId", Id),
            ("SessionType", Text),
            ("LoginType", Text),
            ("SourceIp", Text),
            ("UserType", Text),
            ("NumSecondsValid", Number),
            ("CreatedDate", Date),
            ("LastModifiedDate", Date),
        ],
        &[("Users", "UsersId", "User")],
    ),
    fixed(
        "OauthToken",
        "0CQ",
        &[
            ("AppName", Text),
            ("DeleteToken", Text),
            ("UserId", Id),
            ("UseCount", Number),
            ("LastUsedDate", Date),
            ("CreatedDate", Date),
        ],
        &[],
        &[("User", "UserId", "User")],
    ),
    fixed(
        "PermissionSet",
        "0PS",
        &[
            ("Name", Text),
            ("Label", Text),
            ("IsOwnedByProfile", Flag),
            ("ProfileId", Id),
            ("PermissionsModifyAllData", Flag),
            ("PermissionsManageUsers", Flag),
        ],
        &[],
        &[],
    ),
    setup(
        "PermissionSetAssignment",
        "0Pa",
        &[
            ("AssigneeId", Id),
            ("PermissionSetId", Id),
            ("PermissionSetGroupId", Id),
        ],
        &[
            ("PermissionSet", "PermissionSetId", "PermissionSet"),
            ("Assignee", "AssigneeId", "User"),
        ],
    ),
    fixed(
        "PermissionSetLicense",
        "0PL",
        &[("DeveloperName", Text), ("MasterLabel", Text)],
        &[],
        &[],
    ),
    setup(
        "PermissionSetLicenseAssign",
        "2LA",
        &[("AssigneeId", Id), ("PermissionSetLicenseId", Id)],
        &[(
            "PermissionSetLicense",
            "PermissionSetLicenseId",
            "PermissionSetLicense",
        )],
    ),
    fixed(
        "Group",
        "00G",
        &[("Name", Text), ("DeveloperName", Text), ("Type", Text)],
        &[],
        &[],
    ),
    setup(
        "GroupMember",
        "011",
        &[("GroupId", Id), ("UserOrGroupId", Id)],
        &[("Group", "GroupId", "Group")],
    ),
    setup(
        "UserPackageLicense",
        "051",
        &[("PackageLicenseId", Id), ("UserId", Id)],
        &[],
    ),
    fixed(
        "UserPermissionAccess",
        "0Uf",
        &[
            ("PermissionsManageUsers", Flag),
            ("PermissionsCustomizeApplication", Flag),
            ("PermissionsAssignPermissionSets", Flag),
            ("PermissionsViewAllData", Flag),
            ("PermissionsModifyAllData", Flag),
        ],
        &[],
        &[],
    ),
    fixed(
        "CronTrigger",
        "08e",
        &[
            ("OwnerId", Id),
            ("State", Text),
            ("NextFireTime", Date),
            ("CronJobDetailId", Id),
        ],
        &[],
        &[("CronJobDetail", "CronJobDetailId", "CronJobDetail")],
    ),
    fixed(
        "CronJobDetail",
        "08a",
        &[("Name", Text), ("JobType", Text)],
        &[],
        &[],
    ),
    fixed(
        "Dashboard",
        "01Z",
        &[("Title", Text), ("RunningUserId", Id)],
        &[],
        &[],
    ),
    fixed(
        "ProcessInstanceWorkitem",
        "04i",
        &[
            ("ActorId", Id),
            ("OriginalActorId", Id),
            ("ProcessInstanceId", Id),
        ],
        &[],
        &[],
    ),
    owned("Account", "001"),
    owned("Contact", "003"),
    owned("Opportunity", "006"),
    owned("Lead", "00Q"),
    owned("Case", "500"),
    owned("Task", "00T"),
    owned("Event", "00U"),
    owned("Campaign", "701"),
    owned("Contract", "800"),
    owned("Invoice__c", "a00"),
];

/// The object of that name, in any case.
pub fn object(name: &str) -> Option<&'static Object> {
    OBJECTS
        .iter()
        .find(|object| object.name.eq_ignore_ascii_case(name))
}

impl Object {
    /// A record without values; what is true or false starts as false.
    pub fn blank(&self) -> Map<String, Value> {
        let blank = |(field, kind): &(&str, Kind)| {
            let value = if *kind == Kind::Flag {
                Value::Bool(false)
            } else {
                Value::Null
            };
            ((*field).to_owned(), value)
        };
        self.fields.iter().map(blank).collect()
    }

    /// The field as it is spelled, and what it holds.
    pub fn field(&self, name: &str) -> Option<(&'static str, Kind)> {
        if name.eq_ignore_ascii_case("Id") {
            return Some(("Id", Id));
        }
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .copied()
    }

    /// The reference field and the object of a relationship.
    pub fn relation(&self, name: &str) -> Option<(&'static str, &'static str, &'static Object)> {
        self.relations
            .iter()
            .find(|(relation, ..)| relation.eq_ignore_ascii_case(name))
            .and_then(|(relation, field, target)| Some((*relation, *field, object(target)?)))
    }
}
