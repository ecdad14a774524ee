//! Whether anybody else can put something into the place of a folder of ours.
//!
//! # Why
//! The state decides whose accounts are changed and what counts as approved. Whoever may write to a folder that it is in can rename
//! it and put one of theirs there, however closed it is itself. So every folder on the way to it, with the links that lead there, is
//! ours or root's, and nobody else may write to it; but to one as `/tmp`, in which nobody moves what is another's.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Group, User, geteuid};
use thiserror::Error;

/// A folder on the way to the state that others have in their hands.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Exposed {
    /// It is somebody else's.
    #[error(
        "{0}: belongs to user {1}, who could put another state into its place: keep yours elsewhere with --state DIR"
    )]
    Foreign(PathBuf, u32),
    /// Others may write to it.
    #[error(
        "{0}: others may write to it, and could put another state into its place: chmod go-w {0}, or --state DIR"
    )]
    Writable(PathBuf),
}

/// What is at a place on the way.
#[derive(Debug, Clone, Copy)]
struct Node {
    owner: u32,
    mode: u32,
    /// Others are in its group, as far as this machine knows.
    shared: bool,
    link: bool,
}

/// Nobody moves what is another's.
const STICKY: u32 = 0o1000;

/// Whether only `user`, or root, says what is at this place; `last` is the state itself, which is closed when it is opened.
fn held(user: u32, path: &Path, node: Node, last: bool) -> Result<(), Exposed> {
    if node.owner != user && node.owner != 0 {
        return Err(Exposed::Foreign(path.to_owned(), node.owner));
    }
    let closed = last && node.owner == user;
    if node.link || closed || node.mode & STICKY != 0 {
        return Ok(());
    }
    if node.mode & 0o020 != 0 && node.shared || node.mode & 0o002 != 0 {
        return Err(Exposed::Writable(path.to_owned()));
    }
    Ok(())
}

/// Whether others than we may be in a group. Not in root's, in the one that many systems give each user, and in one that this machine
/// does not know, as volumes of containers have.
fn is_shared(group: u32) -> bool {
    let Ok(Some(group)) = Group::from_gid(Gid::from_raw(group)) else {
        return false;
    };
    let user = User::from_uid(geteuid()).ok().flatten().map(|user| user.name);
    let own = group.gid.as_raw() == 0 || user.as_ref() == Some(&group.name);
    !own || group.mem.iter().any(|member| Some(member) != user.as_ref())
}

/// Checks every folder on the way to `state`, as it is written and as its links lead; what is not there yet is made by us.
///
/// # Errors
/// The first one that somebody else has in their hands. One that cannot be looked at is no error: neither can what is in it.
pub fn check(state: &Path) -> Result<(), Exposed> {
    let user = geteuid().as_raw();
    let written = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
    let real = written.ancestors().find_map(|above| above.canonicalize().ok());
    let ways = [Some(written), real];
    for way in ways.iter().flatten() {
        for place in way.ancestors() {
            if let Ok(node) = look(place) {
                held(user, place, node, place == way)?;
            }
        }
    }
    Ok(())
}

/// Whether a file of the state is ours, or root's.
pub(super) fn is_ours(file: &fs::Metadata) -> bool {
    [0, geteuid().as_raw()].contains(&file.uid())
}

fn look(place: &Path) -> io::Result<Node> {
    let found = fs::symlink_metadata(place)?;
    Ok(Node {
        owner: found.uid(),
        mode: found.mode(),
        shared: is_shared(found.gid()),
        link: found.is_symlink(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_place_is_held_by_us_and_root_alone() {
        let node = |owner, mode, shared| Node {
            owner,
            mode,
            shared,
            link: false,
        };
        let link = |owner| Node {
            link: true,
            ..node(owner, 0o777, true)
        };
        let foreign = Err(Exposed::Foreign("/x".into(), 7));
        let writable = Err(Exposed::Writable("/x".into()));
        for (node, last, expected) in [
            (node(1000, 0o700, true), true, &Ok(())),
            (node(0, 0o755, true), false, &Ok(())),
            (node(0, 0o1777, true), false, &Ok(())),
            (node(1000, 0o775, false), false, &Ok(())),
            (node(1000, 0o775, true), false, &writable),
            (node(0, 0o777, false), false, &writable),
            (node(7, 0o755, false), false, &foreign),
            (node(7, 0o1777, false), false, &foreign),
            // Ours is closed when it is opened; what is root's we cannot close.
            (node(1000, 0o777, true), true, &Ok(())),
            (node(0, 0o775, true), true, &writable),
            (link(1000), false, &Ok(())),
            (link(0), false, &Ok(())),
            (link(7), false, &foreign),
        ] {
            assert_eq!(
                &held(1000, Path::new("/x"), node, last),
                expected,
                "{node:?} {last}"
            );
        }
    }

    #[test]
    fn every_folder_on_the_way_counts_also_where_links_lead() {
        let base = std::env::temp_dir().canonicalize().unwrap();
        let base = base.join(format!("offboard-ownership-{}", std::process::id()));
        let made = |path: &str, mode| {
            fs::create_dir_all(base.join(path)).unwrap();
            fs::set_permissions(base.join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        made("good/state", 0o700);
        made("open", 0o777);
        made("open/inner/state", 0o700);
        symlink(base.join("open/inner"), base.join("good/way")).unwrap();
        symlink(base.join("good"), base.join("open/way")).unwrap();
        let open = Err(Exposed::Writable(base.join("open")));
        assert_eq!(check(&base.join("good/state")), Ok(()));
        assert_eq!(check(&base.join("good/not/there/yet")), Ok(()));
        for path in [
            "open/inner/state",
            "open/new/state",
            "good/way/state",
            "open/way/state",
        ] {
            assert_eq!(check(&base.join(path)), open, "{path}");
        }
        fs::remove_dir_all(&base).unwrap();
    }
}
