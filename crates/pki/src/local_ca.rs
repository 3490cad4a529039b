//! The certificate authority that `tsh` keeps for one app, so that AWS tools trust its local proxy.
//!
//! Tools are pointed at this one certificate (`AWS_CA_BUNDLE` and the like); the proxy shows leaves that it signs by
//! the minute. The authority itself is never shown as an end entity, which strict clients refuse.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::{self, server_names};
use crate::moment::{self, DAY};
use crate::{CertPem, Clock, Credential, IssueError, KeyPair, Pin, SecretPem};

/// An authority for one app on one machine, with its key.
#[derive(Clone)]
pub struct LocalCa {
    cert: CertPem,
    key: KeyPair,
    not_after: SystemTime,
}

/// Shows a leaf for whatever name a client asks for, made on the spot and kept for a while.
pub struct LocalLeaves {
    ca: LocalCa,
    key: KeyPair,
    clock: Clock,
    local_names: Vec<String>,
    cache: Mutex<Cache>,
}

impl LocalCa {
    /// Makes an authority for `app` that lives for `lifetime`.
    pub fn generate(app: &str, now: SystemTime, lifetime: Duration) -> Result<Self, IssueError> {
        let key = KeyPair::generate()?;
        let end = now.checked_add(lifetime).ok_or(IssueError::BadLifetime)?;
        let mut params = moment::params(now, end)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Causeway");
        params.distinguished_name.push(DnType::CommonName, format!("local CA of app {app}"));
        let cert = authority::self_signed_authority(params, &key)?;
        Self::assemble(cert, key)
    }

    /// Reads an authority from its two PEM texts, which must belong together.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, IssueError> {
        Self::assemble(CertPem::parse(cert)?, KeyPair::from_pem(key)?)
    }

    /// The certificate to point AWS tools at.
    pub fn cert(&self) -> &CertPem {
        &self.cert
    }

    /// The private key, for a file of mode 0600.
    pub fn secret_pem(&self) -> SecretPem {
        self.key.secret_pem()
    }

    /// The end of its validity.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// A server certificate for `names` (host names or addresses) with a new key, for a day or until the authority ends.
    pub fn leaf(&self, names: &[String], now: SystemTime) -> Result<Credential, IssueError> {
        self.leaf_with_key(names, &KeyPair::generate()?, now)
    }

    fn leaf_with_key(
        &self,
        names: &[String],
        key: &KeyPair,
        now: SystemTime,
    ) -> Result<Credential, IssueError> {
        let end = self.leaf_end(now);
        if end <= now {
            return Err(IssueError::BadLifetime);
        }
        let mut params = moment::params(now, end)?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, first.as_str());
        }
        params.subject_alt_names = server_names(names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = authority::sign_leaf(params, &key.public(), &self.cert, &self.key)?;
        Credential::new(cert, key.clone()).map_err(IssueError::Credential)
    }

    fn leaf_end(&self, now: SystemTime) -> SystemTime {
        self.not_after.min(now + LEAF_LIFETIME)
    }

    fn assemble(cert: CertPem, key: KeyPair) -> Result<Self, IssueError> {
        let facts = cert.facts()?;
        if !facts.is_authority || facts.pin != Pin::of_spki(key.public().as_der()) {
            return Err(IssueError::NotALocalCa);
        }
        Ok(Self { not_after: facts.not_after, cert, key })
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalCa({:?})", self.cert)
    }
}

impl LocalLeaves {
    /// Prepares to show leaves of `ca`. All of them share one key, made here.
    pub fn new(ca: LocalCa, clock: Clock) -> Result<Arc<Self>, IssueError> {
        Self::with_names(ca, clock, Vec::new())
    }

    /// The same for a server that is also reached by other names or addresses than this machine's own.
    pub fn with_names(
        ca: LocalCa,
        clock: Clock,
        names: Vec<String>,
    ) -> Result<Arc<Self>, IssueError> {
        server_names(&names)?;
        let local_names = LOCAL_NAMES.map(str::to_owned).into_iter().chain(names).collect();
        Ok(Arc::new(Self {
            ca,
            key: KeyPair::generate()?,
            clock,
            local_names,
            cache: Mutex::new(Cache::default()),
        }))
    }

    fn leaf_for(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let now = self.clock.now();
        let host = host
            .filter(|host| !host.eq_ignore_ascii_case("localhost"))
            .map(str::to_ascii_lowercase)
            .unwrap_or_default();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = cache.fresh(&host, now) {
            return Some(leaf);
        }
        let names = if host.is_empty() { self.local_names.clone() } else { vec![host.clone()] };
        let leaf = self.ca.leaf_with_key(&names, &self.key, now).ok()?;
        let end = self.ca.leaf_end(now);
        let is_last = end == self.ca.not_after;
        let entry = Entry {
            leaf: leaf.certified(),
            fresh_until: if is_last { end } else { now + LEAF_LIFETIME / 2 },
        };
        Some(cache.keep(host, entry))
    }
}

impl fmt::Debug for LocalLeaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalLeaves({:?})", self.ca)
    }
}

impl ResolvesServerCert for LocalLeaves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf_for(hello.server_name())
    }
}

const LEAF_LIFETIME: Duration = Duration::from_secs(DAY);

/// What a client may call us when it names no host: an address is never sent as a name.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// More names than a user's tools ask for; a flood of names only costs its sender time.
const MAX_LEAVES: usize = 256;

#[derive(Default)]
struct Cache {
    leaves: HashMap<String, Entry>,
    by_age: VecDeque<String>,
}

struct Entry {
    leaf: Arc<CertifiedKey>,
    fresh_until: SystemTime,
}

impl Cache {
    fn fresh(&self, host: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        self.leaves
            .get(host)
            .filter(|entry| now < entry.fresh_until)
            .map(|entry| entry.leaf.clone())
    }

    fn keep(&mut self, host: String, entry: Entry) -> Arc<CertifiedKey> {
        let leaf = entry.leaf.clone();
        if self.leaves.insert(host.clone(), entry).is_none() {
            self.by_age.push_back(host);
        }
        while self.by_age.len() > MAX_LEAVES {
            if let Some(oldest) = self.by_age.pop_front() {
                self.leaves.remove(&oldest);
            }
        }
        leaf
    }
}
