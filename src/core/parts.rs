//! How a ledger that is too long for one object is split over several, and put together again.
//!
//! # Why
//! etcd takes no object of more than 1.5 MiB, and the API server no request of more than 3 MiB. A ledger is longer than that when
//! a leaver had thousands of keys. What it is put together from is bound by one digest, so that a piece that is missing, older
//! or somebody else's is noticed.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    digest::sha256_of,
    kept::{MOST_KEPT, pack, unpack},
};

/// A ledger of at most so many bytes of JSON is one object, for people to read.
pub const WHOLE: usize = 256 * 1024;

/// The longest piece in bytes: 1 MiB once it is text.
const PIECE: usize = 768 * 1024;

/// The most pieces. What is kept of a leaver's snapshots takes six; the rest of a ledger grows with what definitions say, and with
/// how many things could not be given back.
pub const MOST_PIECES: usize = 64;

/// The longest text that is put together.
const LONGEST: usize = 16 * MOST_KEPT;

/// A text in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The pieces, in order: what was compressed, as Base64.
    pub pieces: Vec<String>,
    /// The digest of all of them together.
    pub digest: String,
    /// How long the text is, in bytes.
    pub size: usize,
}

/// `text` in pieces; none when it is too long even for that.
pub fn split(text: &[u8]) -> Option<Split> {
    if text.len() > LONGEST {
        return None;
    }
    let packed = pack(text);
    let pieces: Vec<String> = packed.chunks(PIECE).map(|piece| STANDARD.encode(piece)).collect();
    (pieces.len() <= MOST_PIECES).then(|| Split {
        pieces,
        digest: sha256_of(&packed),
        size: text.len(),
    })
}

/// The text that `split` was made of; none when any of it is not what it was.
pub fn join(split: &Split) -> Option<Vec<u8>> {
    let mut packed = vec![];
    for piece in &split.pieces {
        packed.extend(STANDARD.decode(piece).ok()?);
    }
    if sha256_of(&packed) != split.digest {
        return None;
    }
    unpack(&packed, split.size.min(LONGEST)).filter(|text| text.len() == split.size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schedule;

    /// A text that cannot be compressed much.
    fn text(length: usize) -> Vec<u8> {
        let mut seed = 3;
        let mut text = vec![];
        while text.len() < length {
            seed = schedule::mix(seed);
            text.extend(seed.to_be_bytes());
        }
        text.truncate(length);
        text
    }

    #[test]
    fn whatever_is_split_is_put_together_again() {
        // The length, and how many pieces it makes.
        let table = [(0, 1), (1, 1), (PIECE / 2, 1), (PIECE + 1, 2), (MOST_KEPT, 6)];
        for (length, pieces) in table {
            let split = split(&text(length)).unwrap();
            assert_eq!(split.pieces.len(), pieces, "{length}");
            assert!(split.pieces.iter().all(|piece| piece.len() <= 1024 * 1024));
            assert_eq!(join(&split), Some(text(length)), "{length}");
        }
        let even = split(&vec![b' '; LONGEST]).unwrap();
        assert_eq!(even.pieces.len(), 1);
        assert_eq!(split(&vec![b' '; LONGEST + 1]), None);
        assert_eq!(split(&text(PIECE * MOST_PIECES + 1)), None);
    }

    #[test]
    fn a_piece_that_is_missing_older_swapped_or_changed_is_noticed() {
        let whole = split(&text(PIECE * 2)).unwrap();
        let changes: [fn(&mut Split); 7] = [
            |split| drop(split.pieces.pop()),
            |split| split.pieces.swap(0, 1),
            |split| split.pieces[0] = split.pieces[1].clone(),
            |split| split.pieces[1].clear(),
            |split| split.pieces[0].replace_range(0..1, "%"),
            |split| split.digest.clear(),
            |split| split.size -= 1,
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut changed = whole.clone();
            change(&mut changed);
            assert_eq!(join(&changed), None, "{place}");
        }
    }
}
