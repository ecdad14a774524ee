//! A map whose copies share what has not changed, so that the state before every change can be kept at little cost.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// How many parts a table has. A change copies one of them.
const PARTS: usize = 64;

/// Values by text.
#[derive(Debug, Clone)]
pub struct Table<T> {
    parts: Vec<Arc<BTreeMap<Arc<str>, Arc<T>>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            parts: vec![Arc::default(); PARTS],
        }
    }
}

fn part(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % PARTS as u64).unwrap_or(0)
}

impl<T: Clone> Table<T> {
    /// The value at `key`.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.parts[part(key)].get(key).map(AsRef::as_ref)
    }

    /// The value at `key`, for changing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let part = &mut self.parts[part(key)];
        // Nothing is copied for a key that is not there.
        part.contains_key(key)
            .then(|| Arc::make_mut(part).get_mut(key).map(Arc::make_mut))?
    }

    /// Puts a value there, and gives the one that was there.
    pub fn insert(&mut self, key: &str, value: T) {
        Arc::make_mut(&mut self.parts[part(key)]).insert(key.into(), Arc::new(value));
    }

    /// Takes a value away.
    pub fn remove(&mut self, key: &str) -> Option<T> {
        let part = &mut self.parts[part(key)];
        part.contains_key(key)
            .then(|| Arc::make_mut(part).remove(key).map(Arc::unwrap_or_clone))?
    }

    /// Whether there is a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Everything, in an order that only changes with what is there.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.parts
            .iter()
            .flat_map(|part| part.iter())
            .map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut table = Table::default();
        for n in 0..300 {
            table.insert(&n.to_string(), n);
        }
        let before = table.clone();
        *table.get_mut("7").unwrap() = 0;
        table.remove("8");
        assert_eq!((before.get("7"), before.get("8")), (Some(&7), Some(&8)));
        assert_eq!((table.get("7"), table.get("8")), (Some(&0), None));
        assert_eq!((before.iter().count(), table.values().count()), (300, 299));
    }
}
