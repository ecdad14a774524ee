//! Who works at Acme.

/// One employee, known by other names in other systems, as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Full name.
    pub name: &'static str,
    /// Employee number.
    pub number: &'static str,
    /// Work address.
    pub email: &'static str,
    /// Login in the directory.
    pub uid: &'static str,
    /// Login in the forge.
    pub handle: &'static str,
    /// How many of each kind of thing they have: sessions, tokens, keys, repositories.
    pub things: usize,
}

/// Leaves today.
pub const JANE: Worker = Worker {
    name: "Jane Doe",
    number: "10117",
    email: "jane.doe@acme.test",
    uid: "jdoe",
    handle: "jane-d",
    things: 3,
};

/// Takes over.
pub const SAM: Worker = Worker {
    name: "Sam Lee",
    number: "10042",
    email: "sam.lee@acme.test",
    uid: "slee",
    handle: "sam-lee",
    things: 1,
};

/// Everybody. Some look like the leaver on purpose.
pub const ALL: [Worker; 6] = [
    JANE,
    SAM,
    Worker {
        name: "Janet Doe",
        number: "10118",
        email: "janet.doe@acme.test",
        uid: "jadoe",
        handle: "janet-d",
        things: 1,
    },
    Worker {
        name: "Ana Silva",
        number: "10009",
        email: "ana.silva@acme.test",
        uid: "asilva",
        handle: "ana",
        things: 2,
    },
    Worker {
        name: "Bob Roe",
        number: "10076",
        email: "bob.roe@acme.test",
        uid: "broe",
        handle: "bobroe",
        things: 1,
    },
    Worker {
        name: "Li Wei",
        number: "10098",
        email: "li.wei@acme.test",
        uid: "lwei",
        handle: "liwei",
        things: 2,
    },
];

/// A new secret that nobody can guess, such as a password or a token.
pub fn secret(prefix: &str) -> String {
    format!("{prefix}{:032x}", rand::random::<u128>())
}
