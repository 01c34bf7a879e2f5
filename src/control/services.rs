//! The services of a document: in their order, found by protocol and address, and shared from one generation to the next, so
//! that a generation of thousands costs what is different in it.
//!
//! Part of a [`Document`](super::document::Document). rpds: trees that share what stays the same, with an iterator in order.

use crate::api::types::{Protocol, ServiceSpec};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a service is known by.
pub type Key = (Protocol, SocketAddr);

/// See the module.
#[derive(Clone, Default)]
pub struct Services {
    seats: HashTrieMapSync<Key, u64>,
    /// By seat: the order in which they came.
    list: RedBlackTreeMapSync<u64, Arc<ServiceSpec>>,
    next: u64,
}

impl Services {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServiceSpec>> {
        self.list.values()
    }

    /// The service of this protocol and address.
    pub fn get(&self, key: Key) -> Option<&Arc<ServiceSpec>> {
        self.list.get(self.seats.get(&key)?)
    }

    /// Puts a service in the place of the one with its protocol and address, or at the end.
    pub fn put(&mut self, service: Arc<ServiceSpec>) {
        let key = (service.protocol, service.address);
        let seat = self.seats.get(&key).copied().unwrap_or_else(|| {
            self.seats.insert_mut(key, self.next);
            self.next += 1;
            self.next - 1
        });
        self.list.insert_mut(seat, service);
    }

    /// Takes one out; false when there is none.
    pub fn remove(&mut self, key: Key) -> bool {
        let Some(seat) = self.seats.get(&key).copied() else { return false };
        self.seats.remove_mut(&key);
        self.list.remove_mut(&seat)
    }

    /// A place in the order; it only says something beside that of another one.
    pub(super) fn place(&self, key: Key) -> Option<u64> {
        self.seats.get(&key).copied()
    }
}

impl FromIterator<Arc<ServiceSpec>> for Services {
    fn from_iter<I: IntoIterator<Item = Arc<ServiceSpec>>>(services: I) -> Services {
        let mut all = Services::default();
        services.into_iter().for_each(|service| all.put(service));
        all
    }
}

/// The same services in the same order.
impl PartialEq for Services {
    fn eq(&self, other: &Services) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(port: u16, name: &str) -> Arc<ServiceSpec> {
        let text = format!(r#"{{"protocol": "tcp", "address": "198.18.1.100:{port}", "name": "{name}"}}"#);
        Arc::new(serde_json::from_str(&text).unwrap())
    }

    fn key(port: u16) -> Key {
        (Protocol::Tcp, SocketAddr::from(([198, 18, 1, 100], port)))
    }

    fn names(services: &Services) -> Vec<&str> {
        services.iter().filter_map(|s| s.name.as_deref()).collect()
    }

    #[test]
    fn services_stay_in_their_order_and_a_copy_does_not_see_what_comes_later() {
        let mut services: Services = [service(1, "a"), service(2, "b"), service(3, "c")].into_iter().collect();
        let before = services.clone();
        services.put(service(2, "new"));
        assert!(services.remove(key(1)) && !services.remove(key(1)) && services.get(key(1)).is_none());
        services.put(service(1, "late"));
        assert_eq!((names(&services), names(&before)), (vec!["new", "c", "late"], vec!["a", "b", "c"]));
        assert_eq!((services.len(), services.get(key(2)).and_then(|s| s.name.as_deref())), (3, Some("new")));
        assert_ne!(services, before);
        assert_eq!(before, [service(1, "a"), service(2, "b"), service(3, "c")].into_iter().collect());
    }
}
