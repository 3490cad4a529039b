//! The keeper against a CA and a shelf of the tests, in a time that is turned by waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use access::{App, AppName, HostId};
use api::ApiError;
use api::types::app_servers::AppServer;
use api::types::secret::SecretText;
use api::types::watch::{Change, Item, Key};
use futures_util::future::BoxFuture;
use pki::{CertPem, LocalCa, WebPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::time::Instant;

use super::held::Held;
use super::order::{OrderError, Orders};
use super::shelf::{Later, Leased};
use super::*;
use crate::snapshot::Snapshot;

const OWN: &str = "proxy.example.com";
const APP: &str = "grafana.proxy.example.com";
const HOUR: Duration = Duration::from_secs(3600);

/// A clock that goes with the runtime's own time, which goes on when everything waits.
fn clock() -> Clock {
    let start = Instant::now();
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    Clock::new(move || epoch + start.elapsed())
}

/// A CA whose certificates last a day.
struct FakeCa {
    ca: LocalCa,
    clock: Clock,
    ordered: Mutex<Vec<String>>,
    takes: Duration,
    fails: AtomicUsize,
}

impl FakeCa {
    fn new(clock: &Clock) -> Self {
        Self {
            ca: LocalCa::generate("test", clock.now(), 1000 * 24 * HOUR).unwrap(),
            clock: clock.clone(),
            ordered: Mutex::default(),
            takes: Duration::from_secs(3),
            fails: AtomicUsize::new(0),
        }
    }

    fn ordered(&self) -> Vec<String> {
        self.ordered.lock().unwrap().clone()
    }

    fn pair(&self, name: &str) -> WebPair {
        WebPair::from(&self.ca.leaf(&[name.to_owned()], self.clock.now()).unwrap())
    }
}

impl Orders for FakeCa {
    fn order<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<WebPair, OrderError>> {
        Box::pin(async move {
            self.ordered.lock().unwrap().push(name.to_owned());
            tokio::time::sleep(self.takes).await;
            let fail = |left: usize| left.checked_sub(1);
            if self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail).is_ok() {
                return Err(OrderError::Late);
            }
            Ok(self.pair(name))
        })
    }
}

/// A shelf in memory.
#[derive(Default)]
struct Memory {
    certificates: Mutex<HashMap<String, (CertPem, String)>>,
    leases: Mutex<HashMap<String, SystemTime>>,
    answers: Mutex<HashMap<String, (CertPem, String)>>,
    clock: Mutex<Option<Clock>>,
}

fn stored(pair: &WebPair) -> (CertPem, String) {
    (pair.cert.clone(), pair.key.expose().to_owned())
}

fn taken(stored: Option<&(CertPem, String)>) -> Option<WebPair> {
    stored.map(|(cert, key)| WebPair { cert: cert.clone(), key: pki::SecretPem::new(key.clone()) })
}

fn now<T: Send + 'static>(value: T) -> Later<'static, T> {
    Box::pin(async move { Ok::<_, ApiError>(value) })
}

impl CertificateShelf for Memory {
    fn certificate<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>> {
        now(taken(self.certificates.lock().unwrap().get(name)))
    }

    fn keep<'a>(&'a self, name: &'a str, pair: &'a WebPair) -> Later<'a, ()> {
        self.certificates.lock().unwrap().insert(name.to_owned(), stored(pair));
        self.leases.lock().unwrap().remove(name);
        now(())
    }

    fn lease<'a>(&'a self, name: &'a str, lasting: Duration) -> Later<'a, Leased> {
        let present = self.clock.lock().unwrap().as_ref().unwrap().now();
        let mut leases = self.leases.lock().unwrap();
        match leases.get(name) {
            Some(until) if *until > present => now(Leased::Already(*until)),
            _ => {
                leases.insert(name.to_owned(), present + lasting);
                now(Leased::ToUs)
            }
        }
    }

    fn account<'a>(&'a self, _: &'a str) -> Later<'a, Option<SecretText>> {
        now(None)
    }

    fn keep_account<'a>(&'a self, _: &'a str, text: SecretText) -> Later<'a, SecretText> {
        now(text)
    }

    fn answer<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>> {
        now(taken(self.answers.lock().unwrap().get(name)))
    }

    fn keep_answer<'a>(&'a self, name: &'a str, answer: &'a WebPair) -> Later<'a, ()> {
        self.answers.lock().unwrap().insert(name.to_owned(), stored(answer));
        now(())
    }

    fn drop_answer<'a>(&'a self, name: &'a str) -> Later<'a, ()> {
        self.answers.lock().unwrap().remove(name);
        now(())
    }
}

/// One proxy.
struct Proxy {
    acme: Arc<Acme>,
    snapshots: Arc<Snapshots>,
    _running: tokio::task::JoinSet<()>,
}

struct Town {
    clock: Clock,
    ca: Arc<FakeCa>,
    shelf: Arc<Memory>,
}

impl Town {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FakeCa)) -> Self {
        let clock = clock();
        let mut ca = FakeCa::new(&clock);
        change(&mut ca);
        let shelf = Arc::new(Memory::default());
        *shelf.clock.lock().unwrap() = Some(clock.clone());
        Self { clock, ca: Arc::new(ca), shelf }
    }

    fn proxy(&self) -> Proxy {
        let shelf: Arc<dyn CertificateShelf> = self.shelf.clone();
        let answers = Arc::new(Answers::new(Arc::clone(&shelf), self.clock.clone()));
        let sources = Sources {
            shelf,
            orders: self.ca.clone(),
            clock: self.clock.clone(),
            timing: AcmeTiming::default(),
        };
        let snapshots = Arc::new(Snapshots::default());
        snapshots.publish(enrolled(&["grafana"]));
        let acme = Arc::new(Acme::with(OWN, Arc::clone(&snapshots), answers, sources));
        let mut running = tokio::task::JoinSet::new();
        let keeping = Arc::clone(&acme);
        running.spawn(async move { keeping.run().await });
        Proxy { acme, snapshots, _running: running }
    }
}

fn enrolled(apps: &[&str]) -> Snapshot {
    let app = |name: &&str| App::new(AppName::parse(name).unwrap(), "http://127.0.0.1:1");
    let mut snapshot = Snapshot::default();
    snapshot.apply(Change::Put(Item::AppServer(Box::new(AppServer {
        host_id: HostId::parse("agent-1").unwrap(),
        hostname: "agent-1".to_owned(),
        version: "0.1.0".to_owned(),
        apps: apps.iter().map(app).collect(),
        expires: None,
    }))));
    snapshot
}

fn times(ordered: &[String], name: &str) -> usize {
    ordered.iter().filter(|ordered| *ordered == name).count()
}

#[tokio::test(start_paused = true)]
async fn the_own_name_is_ordered_at_the_start_and_an_apps_at_first_use() {
    let town = Town::new();
    let proxy = town.proxy();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(town.ca.ordered(), [OWN]);
    assert!(proxy.acme.own_certificate().is_some());
    assert!(proxy.acme.certificate(APP).is_none());
    assert!(proxy.acme.is_ready("Grafana.proxy.example.com").await, "waits for the order");
    assert!(proxy.acme.certificate(APP).is_some());
    assert_eq!(town.ca.ordered(), [OWN, APP]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ordered_for_a_name_that_is_not_enrolled() {
    let town = Town::new();
    let proxy = town.proxy();
    for name in
        ["wiki.proxy.example.com", "evil.example", "x.grafana.proxy.example.com", "10.0.0.1"]
    {
        assert!(proxy.acme.is_ready(name).await, "{name} is shown the usual certificate at once");
    }
    tokio::time::sleep(24 * HOUR).await;
    assert!(town.ca.ordered().iter().all(|name| name == OWN), "{:?}", town.ca.ordered());
    assert!(town.shelf.leases.lock().unwrap().keys().all(|name| name == OWN));
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_for_one_name_make_one_order() {
    let town = Town::new();
    let proxy = town.proxy();
    let waiting = (0..50).map(|_| proxy.acme.is_ready(APP));
    assert!(futures_util::future::join_all(waiting).await.into_iter().all(|ready| ready));
    assert_eq!(times(&town.ca.ordered(), APP), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_takes_long_is_waited_for_up_to_a_bound() {
    let town = Town::with(|ca| ca.takes = Duration::from_secs(60));
    let proxy = town.proxy();
    let start = Instant::now();
    assert!(!proxy.acme.is_ready(APP).await, "an app is not shown under another certificate");
    assert!(proxy.acme.is_ready(OWN).await, "the own name falls back to the self-signed one");
    assert!(start.elapsed() <= 2 * AcmeTiming::default().wait, "{:?}", start.elapsed());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(proxy.acme.is_ready(APP).await);
    assert_eq!(times(&town.ca.ordered(), APP), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_order_rests_and_visitors_do_not_wait_meanwhile() {
    let town = Town::with(|ca| ca.fails = AtomicUsize::new(2));
    let proxy = town.proxy();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!proxy.acme.is_ready(APP).await);
    let start = Instant::now();
    for _ in 0..100 {
        assert!(!proxy.acme.is_ready(APP).await);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(town.ca.ordered(), [OWN, APP], "one try each");
    tokio::time::sleep(HOUR).await;
    assert!(proxy.acme.own_certificate().is_some(), "the own name is tried again by itself");
    assert!(proxy.acme.is_ready(APP).await, "and an app's name when it is asked for again");
}

#[tokio::test(start_paused = true)]
async fn certificates_are_renewed_ahead_of_time_for_as_long_as_they_are_enrolled() {
    let town = Town::new();
    let proxy = town.proxy();
    assert!(proxy.acme.is_ready(APP).await);
    let first = proxy.acme.certificate(APP).unwrap();
    tokio::time::sleep(20 * HOUR).await;
    let second = proxy.acme.certificate(APP).unwrap();
    assert_ne!(first.cert, second.cert, "renewed before its 24 hours were over");
    assert_eq!(town.ca.ordered().len(), 4);
    proxy.snapshots.publish(enrolled(&[]));
    tokio::time::sleep(100 * HOUR).await;
    let ordered = town.ca.ordered();
    assert_eq!(times(&ordered, APP), 2, "withdrawn: not renewed");
    assert!(proxy.acme.certificate(APP).is_none(), "and not shown");
    assert!((6..=9).contains(&times(&ordered, OWN)), "{ordered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_certificate_and_is_tried_again() {
    let town = Town::new();
    let proxy = town.proxy();
    assert!(proxy.acme.is_ready(APP).await);
    town.ca.fails.store(3, Ordering::SeqCst);
    tokio::time::sleep(20 * HOUR).await;
    assert!(proxy.acme.certificate(APP).is_some());
    let ends = Held::new(
        APP,
        &taken(town.shelf.certificates.lock().unwrap().get(APP)).unwrap(),
        town.clock.now(),
    );
    assert!(ends.unwrap().left(town.clock.now()) > 12 * HOUR, "renewed in the end");
}

#[tokio::test(start_paused = true)]
async fn two_proxies_make_one_order_and_share_it() {
    let town = Town::new();
    let (one, other) = (town.proxy(), town.proxy());
    let (first, second) = tokio::join!(one.acme.is_ready(APP), other.acme.is_ready(APP));
    assert!(first && second);
    assert_eq!(times(&town.ca.ordered(), APP), 1);
    assert_eq!(times(&town.ca.ordered(), OWN), 1);
    let shown = |proxy: &Proxy| proxy.acme.certificate(APP).unwrap().cert.clone();
    assert_eq!(shown(&one), shown(&other));
}

#[tokio::test(start_paused = true)]
async fn a_restart_takes_the_certificate_from_the_shelf() {
    let town = Town::new();
    let before = town.proxy();
    assert!(before.acme.is_ready(APP).await);
    drop(before);
    let after = town.proxy();
    assert!(after.acme.is_ready(APP).await && after.acme.is_ready(OWN).await);
    assert_eq!(town.ca.ordered().len(), 2, "nothing was ordered again");
}

#[tokio::test(start_paused = true)]
async fn what_the_shelf_has_wrong_is_not_shown() {
    let town = Town::new();
    let other = stored(&town.ca.pair("other.example.com"));
    town.shelf.certificates.lock().unwrap().insert(APP.to_owned(), other);
    let proxy = town.proxy();
    assert!(proxy.acme.is_ready(APP).await);
    assert_eq!(times(&town.ca.ordered(), APP), 1, "ordered anew");
}

#[tokio::test(start_paused = true)]
async fn names_ordered_at_once_are_bounded_and_none_is_forgotten() {
    let town = Town::with(|ca| ca.takes = Duration::from_secs(1));
    let proxy = town.proxy();
    let names: Vec<String> = (0..40).map(|number| format!("app{number}")).collect();
    proxy.snapshots.publish(enrolled(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let hosts: Vec<String> = names.iter().map(|name| format!("{name}.{OWN}")).collect();
    let start = Instant::now();
    let ready = futures_util::future::join_all(hosts.iter().map(|host| proxy.acme.is_ready(host)));
    assert!(ready.await.into_iter().all(|ready| ready));
    assert!(start.elapsed() >= Duration::from_secs(9), "four at once: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_by_any_proxy_and_only_for_what_is_ordered() {
    let town = Town::new();
    let (one, other) = (town.proxy(), town.proxy());
    let answer = pki::acme::answer(APP, &[7; 32], town.clock.now()).unwrap();
    one.acme.answers.give(APP, &answer).await.unwrap();
    for proxy in [&one, &other] {
        assert_eq!(ask(proxy, APP).await.unwrap(), *answer.cert.leaf());
    }
    for foreign in ["wiki.proxy.example.com", OWN] {
        assert!(ask(&one, foreign).await.is_err(), "{foreign}");
    }
    one.acme.answers.take_back(APP).await;
    for proxy in [&one, &other] {
        assert!(ask(proxy, APP).await.is_err());
    }
}

/// Asks as a CA does; gives the certificate that is shown.
async fn ask(proxy: &Proxy, name: &str) -> std::io::Result<CertificateDer<'static>> {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let mut tls = ClientConfig::builder_with_provider(pki::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Looking))
        .with_no_client_auth();
    tls.alpn_protocols = vec![pki::acme::ALPN_ACME.to_vec()];
    let server_name = name.to_owned().try_into().unwrap();
    let asking = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(server_name, near);
    let (asked, _) = tokio::join!(asking, proxy.acme.answer(far, name));
    Ok(asked?.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

/// The library cannot read a certificate with RFC 8737's critical extension; a CA looks for itself.
#[derive(Debug)]
struct Looking;

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_that_comes_and_goes_is_followed() {
    let town = Town::new();
    let proxy = town.proxy();
    let mut gone = enrolled(&["grafana"]);
    gone.apply(Change::Delete(Key::AppServer(HostId::parse("agent-1").unwrap())));
    proxy.snapshots.publish(gone);
    assert!(proxy.acme.is_ready(APP).await);
    assert!(proxy.acme.certificate(APP).is_none(), "not enrolled: nothing was ordered");
    proxy.snapshots.publish(enrolled(&["grafana"]));
    assert!(proxy.acme.is_ready(APP).await);
    assert!(proxy.acme.certificate(APP).is_some());
}
