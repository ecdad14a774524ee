//! Salesforce ids: 15 characters that differ by case, or 18 with a suffix that makes the case known.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The `n`th id of the objects with `prefix`, in its 18-character form.
pub fn nth(prefix: &str, mut n: u32) -> String {
    let mut digits = [b'0'; 7];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(n % 62) as usize];
        n /= 62;
    }
    let digits: String = digits.iter().copied().map(char::from).collect();
    long(&format!("{prefix}5g000{digits}"))
}

/// The 18-character form of a 15-character id.
fn long(short: &str) -> String {
    let suffix = short.as_bytes().chunks(5).map(|chunk| {
        let bits = chunk
            .iter()
            .enumerate()
            .filter(|(_, c)| c.is_ascii_uppercase())
            .fold(0, |bits, (at, _)| bits | (1 << at));
        char::from(SUFFIX[bits])
    });
    short.chars().chain(suffix).collect()
}

/// The 18-character form of an id in either form; of the longer form, the suffix tells the case of the rest.
pub fn whole(id: &str) -> Option<String> {
    if !id.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    match id.len() {
        15 => Some(long(id)),
        18 => {
            let upper = id[15..].to_ascii_uppercase();
            let short: Option<String> = id[..15]
                .bytes()
                .enumerate()
                .map(|(at, c)| {
                    let bits = SUFFIX.iter().position(|s| *s == upper.as_bytes()[at / 5])?;
                    let big = bits & (1 << (at % 5)) != 0;
                    Some(char::from(if big {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    }))
                })
                .collect();
            short.map(|short| long(&short))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_is_the_one_that_salesforce_documents() {
        assert_eq!(long("001A0000006Vm9r"), "001A0000006Vm9rIAC");
        assert_eq!(whole("001A0000006Vm9r").as_deref(), Some("001A0000006Vm9rIAC"));
        assert_eq!(whole("001a0000006vm9riac").as_deref(), Some("001A0000006Vm9rIAC"));
    }

    #[test]
    fn ids_that_differ_by_case_only_are_different() {
        let (a, b) = (nth("005", 10), nth("005", 36));
        assert!(a[..15].eq_ignore_ascii_case(&b[..15]));
        assert_ne!(whole(&a[..15]), whole(&b[..15]));
        assert_ne!(a.to_lowercase(), b.to_lowercase());
    }

    #[test]
    fn what_is_no_id_is_none() {
        for bad in ["", "005", "005x' OR Id", "0055g000000000aAA"] {
            assert_eq!(whole(bad), None, "{bad}");
        }
    }
}
