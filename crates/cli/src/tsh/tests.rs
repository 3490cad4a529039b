//! Commands on saved logins that were made for the test: what they print, and what they refuse.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::identity::{AppClaims, Claims};
use access::{App, AppName, AppSessionId, ClusterName, RoleName, UserName};
use api::profile::{Home, Profile, Rank};
use pki::{Authority, AuthorityKind, KeyPair, Trust};

use super::app_session::{self, SavedSession};
use super::app_sessions;
use super::apps::config::{self, ConfigArgs, ConfigFormat};
use super::browser::Browser;
use super::context::{Context, Global};
use super::local_ca::Place;
use super::status::{self, StatusArgs};
use super::{aws, logout};
use crate::format::Format;
use crate::output::Output;

pub(super) const READER: &str = "arn:aws:iam::123456789012:role/reader";

/// 2024-01-01T10:00:00Z.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_704_103_200)
}

/// A home with logins that a pretended cluster has issued.
pub(super) struct Saved {
    folder: tempfile::TempDir,
    user: Authority,
    host: Authority,
    key: KeyPair,
}

impl Saved {
    pub(super) fn new() -> Self {
        let cluster = ClusterName::parse("teleport.example.com").unwrap();
        let authority = |kind| {
            Authority::generate(kind, &cluster, now() - Duration::from_secs(86_400)).unwrap()
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            user: authority(AuthorityKind::User),
            host: authority(AuthorityKind::Host),
            key: KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn context(&self) -> Context {
        Context {
            global: Global::default(),
            home: Home::new(self.folder.path()),
            browser: Browser::None,
            now,
        }
    }

    fn claims(life: i64, app: Option<AppClaims>) -> Claims {
        let shift = Duration::from_secs(life.unsigned_abs());
        Claims {
            user: UserName::parse("alice").unwrap(),
            cluster: ClusterName::parse("teleport.example.com").unwrap(),
            roles: ["access", "aws-dynamodb-access"].map(|r| RoleName::parse(r).unwrap()).to_vec(),
            traits: [("logins".to_owned(), vec!["root".to_owned(), "-teleport-x".to_owned()])]
                .into(),
            allowed_aws_roles: vec![READER.to_owned()],
            app,
            issued_at: now(),
            expires: if life < 0 { now() - shift } else { now() + shift },
            mfa: true,
            login_ip: Some("127.0.0.1".parse().unwrap()),
        }
    }

    fn certificate(&self, claims: &Claims) -> String {
        let made = now() - Duration::from_secs(3_600);
        self.user.issue_user(claims, &self.key.public(), made).unwrap().as_str().to_owned()
    }

    pub(super) fn log_in(&self, proxy: &str, life: i64) -> Profile {
        let claims = Self::claims(life, None);
        let profile = Profile {
            web_proxy_addr: format!("{proxy}:443"),
            user: claims.user.clone(),
            cluster: claims.cluster.clone(),
            insecure: false,
        };
        let trust =
            Trust::new(claims.cluster.clone(), Vec::new(), vec![self.host.cert().clone()]).unwrap();
        let certificate = self.certificate(&claims);
        self.context().home.save(&profile, &self.key, &certificate, &trust).unwrap();
        profile
    }

    /// Saves a session of an app, for an AWS role perhaps, that lasts so many seconds.
    pub(super) fn log_in_to_app(&self, profile: &Profile, app: &str, with: (Option<&str>, u64)) {
        let (role, life) = with;
        let app = AppName::parse(app).unwrap();
        let claims = AppClaims {
            session: AppSessionId::from_bytes(uuid::Uuid::new_v4().into_bytes()),
            name: app.clone(),
            public_addr: format!("{app}.teleport.example.com"),
            aws_role: role.map(|role| ::aws::RoleArn::parse(role).unwrap()),
        };
        let certificate =
            self.certificate(&Self::claims(i64::try_from(life).unwrap(), Some(claims)));
        let context = self.context();
        let login = context.login_of(profile.clone()).unwrap();
        app_sessions::keep(&context, &login, (&app, &certificate), Rank::Newest).unwrap();
    }

    pub(super) fn sessions(&self, profile: &Profile) -> Vec<SavedSession> {
        let context = self.context();
        let login = context.login_of(profile.clone()).unwrap();
        app_session::live(&context, &login).unwrap()
    }
}

fn status_of(saved: &Saved, format: Format) -> (String, Result<(), String>) {
    let (mut output, data, _) = Output::kept();
    let args = StatusArgs { format, verbose: false };
    let ended = status::run(&args, &saved.context(), &mut output);
    (data.text(), ended.map_err(|failure| failure.to_string()))
}

#[test]
fn status_is_the_block_of_the_original() {
    let saved = Saved::new();
    saved.log_in("other.example.com", 90);
    saved.log_in("teleport.example.com", 43_200);
    let (text, ended) = status_of(&saved, Format::Text);
    let zone = crate::moment::local(now() + Duration::from_secs(43_200));
    let soon = crate::moment::local(now() + Duration::from_secs(90));
    assert_eq!(
        text,
        format!(
            "> Profile URL:        https://teleport.example.com:443\n  \
               Logged in as:       alice\n  \
               Cluster:            teleport.example.com\n  \
               Roles:              access, aws-dynamodb-access\n  \
               Logins:             root\n  \
               Kubernetes:         disabled\n  \
               Valid until:        {zone} [valid for 12h0m0s]\n  \
               Extensions:         login-ip\n\
             \n  \
               Profile URL:        https://other.example.com:443\n  \
               Logged in as:       alice\n  \
               Cluster:            teleport.example.com\n  \
               Roles:              access, aws-dynamodb-access\n  \
               Logins:             root\n  \
               Kubernetes:         disabled\n  \
               Valid until:        {soon} [valid for 2m0s]\n  \
               Extensions:         login-ip\n\
             \n"
        )
    );
    ended.unwrap();
}

#[test]
fn status_as_json_has_the_keys_that_scripts_read() {
    let saved = Saved::new();
    saved.log_in("teleport.example.com", 43_200);
    let (text, _) = status_of(&saved, Format::Json);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["active"]["username"], "alice");
    assert_eq!(value["active"]["profile_url"], "https://teleport.example.com:443");
    assert_eq!(value["active"]["valid_until"], "2024-01-01T22:00:00Z");
    assert_eq!(value["active"]["kubernetes_enabled"], false);
    assert_eq!(value["active"]["logins"], serde_json::json!(["root"]));
    assert_eq!(value["profiles"], serde_json::json!([]));
    assert!(text.starts_with("{\n    \"active\": {\n"), "{text}");
}

#[test]
fn status_tells_an_expired_login_and_none_apart() {
    let saved = Saved::new();
    let (text, ended) = status_of(&saved, Format::Text);
    assert_eq!((text.as_str(), ended.unwrap_err().as_str()), ("", "Not logged in."));
    saved.log_in("teleport.example.com", -60);
    let (text, ended) = status_of(&saved, Format::Text);
    assert!(text.contains("[EXPIRED]"), "{text}");
    assert_eq!(ended.unwrap_err(), "Active profile expired.");
}

#[test]
fn flags_choose_the_login() {
    let saved = Saved::new();
    saved.log_in("other.example.com", 90);
    saved.log_in("teleport.example.com", 90);
    let chosen = |proxy: Option<&str>, user: Option<&str>| {
        let mut context = saved.context();
        context.global.proxy = proxy.map(str::to_owned);
        context.global.user = user.map(str::to_owned);
        context.login().map(|login| login.profile.web_proxy_addr).map_err(|f| f.to_string())
    };
    assert_eq!(chosen(None, None).unwrap(), "teleport.example.com:443");
    assert_eq!(chosen(Some("other.example.com"), None).unwrap(), "other.example.com:443");
    assert_eq!(chosen(Some("nowhere.example.com"), None).unwrap_err(), "Not logged in.");
    assert_eq!(chosen(None, Some("bob")).unwrap_err(), "Not logged in.");
}

#[tokio::test]
async fn logout_forgets_one_login_or_all() {
    let saved = Saved::new();
    let run = async |proxy: Option<&str>, user: Option<&str>| {
        let mut context = saved.context();
        context.global.proxy = proxy.map(str::to_owned);
        context.global.user = user.map(str::to_owned);
        let (mut output, data, _) = Output::kept();
        let ended = logout::run(&logout::LogoutArgs {}, &context, &mut output).await;
        (data.text(), ended.map_err(|failure| failure.code()))
    };
    assert_eq!(run(None, None).await, ("All users logged out.\n".to_owned(), Ok(())));
    saved.log_in("teleport.example.com", 90);
    saved.log_in("other.example.com", 90);
    let host = Some("teleport.example.com");
    let one = "Logged out alice from teleport.example.com.\n".to_owned();
    assert_eq!(run(host, Some("alice")).await, (one, Ok(())));
    let again = "User alice already logged out from teleport.example.com.\n".to_owned();
    assert_eq!(run(host, Some("alice")).await, (again, Err(1)));
    assert_eq!(run(host, None).await, (String::new(), Err(2)));
    let all = "Logged out all users from all proxies.\n".to_owned();
    assert_eq!(run(None, None).await, (all, Ok(())));
    assert!(saved.context().home.profiles().unwrap().is_empty());
}

#[tokio::test]
async fn the_one_aws_app_is_found_or_asked_for() {
    let saved = Saved::new();
    let profile = saved.log_in("teleport.example.com", 43_200);
    let context = saved.context();
    let login = context.login_of(profile.clone()).unwrap();
    let choose = async |name: Option<&str>| {
        let (mut output, _, _) = Output::kept();
        let found = aws::session(&context, &login, (name, None), &mut output).await;
        found.map(|session| session.app.to_string()).map_err(|failure| failure.to_string())
    };
    let none = "please login to AWS app using 'tsh apps login' first";
    assert_eq!(choose(None).await.unwrap_err(), none);
    saved.log_in_to_app(&profile, "grafana", (None, 3_600));
    let no_aws = "please login to AWS App using 'tsh apps login' first";
    assert_eq!(choose(None).await.unwrap_err(), no_aws);
    let not_aws = "selected app \"grafana\" is not an AWS application";
    assert_eq!(choose(Some("grafana")).await.unwrap_err(), not_aws);
    saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
    assert_eq!(choose(None).await.unwrap(), "aws");
    saved.log_in_to_app(&profile, "prod", (Some(READER), 3_600));
    let several =
        "multiple AWS apps are available (aws, prod), please specify one using --app CLI argument";
    assert_eq!(choose(None).await.unwrap_err(), several);
    assert_eq!(choose(Some("prod")).await.unwrap(), "prod");
}

const WRITER: &str = "arn:aws:iam::123456789012:role/writer";

#[tokio::test]
async fn a_role_is_chosen_beside_the_newest() {
    let saved = Saved::new();
    let profile = saved.log_in("teleport.example.com", 43_200);
    let context = saved.context();
    let login = context.login_of(profile.clone()).unwrap();
    let choose = async |name: Option<&str>, role: Option<&str>| {
        let (mut output, _, _) = Output::kept();
        let found = aws::session(&context, &login, (name, role), &mut output).await;
        let shown = |s: SavedSession| format!("{} {}", s.app, s.aws_role().unwrap().name());
        found.map(shown).map_err(|failure| failure.to_string())
    };
    let none = "please login to AWS app using 'tsh apps login' first";
    assert_eq!(choose(None, Some("reader")).await.unwrap_err(), none);
    saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
    saved.log_in_to_app(&profile, "aws", (Some(WRITER), 3_600));
    // The role that was logged in to last, as before there could be two.
    assert_eq!(choose(None, None).await.unwrap(), "aws writer");
    assert_eq!(choose(Some("aws"), None).await.unwrap(), "aws writer");
    assert_eq!(choose(None, Some("reader")).await.unwrap(), "aws reader");
    assert_eq!(choose(Some("aws"), Some(READER)).await.unwrap(), "aws reader");
    assert_eq!(choose(None, Some("")).await.unwrap(), "aws writer");
    saved.log_in_to_app(&profile, "prod", (Some(READER), 3_600));
    assert_eq!(choose(Some("prod"), Some("reader")).await.unwrap(), "prod reader");
    let several = choose(None, Some("reader")).await.unwrap_err();
    assert!(several.starts_with("role \"reader\" could be "), "{several}");
    let absent = choose(None, Some("absent")).await.unwrap_err();
    assert!(absent.starts_with("multiple AWS apps are available (aws, prod)"), "{absent}");
}

#[test]
fn config_shows_the_files_of_an_app() {
    let saved = Saved::new();
    let profile = saved.log_in("teleport.example.com", 43_200);
    // The saved certificates are read by the real clock's `now` of the context, so all still last.
    let run = |app: Option<&str>, format| {
        let (mut output, data, _) = Output::kept();
        let args = ConfigArgs { app: app.map(str::to_owned), aws_role: None, format };
        let ended = config::run(&args, &saved.context(), &mut output);
        let home = saved.folder.path().display().to_string();
        ended.map(|()| data.text().replace(&home, "~/.tsh")).map_err(|failure| failure.to_string())
    };
    let first = "please login using 'tsh apps login' first";
    assert_eq!(run(None, ConfigFormat::Text).unwrap_err(), first);
    saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
    insta::assert_snapshot!(run(None, ConfigFormat::Text).unwrap(), @r"
    Name:     aws
    URI:      https://aws.teleport.example.com
    CA:       ~/.tsh/keys/teleport.example.com/cas/teleport.example.com.pem
    Cert:     ~/.tsh/keys/teleport.example.com/alice-app/teleport.example.com/aws-x509.pem
    Key:      ~/.tsh/keys/teleport.example.com/alice
    AWS ARN:  arn:aws:iam::123456789012:role/reader
    ");
    let json: serde_json::Value =
        serde_json::from_str(&run(Some("aws"), ConfigFormat::Json).unwrap()).unwrap();
    for key in ["name", "uri", "ca", "cert", "key", "curl", "aws_role_arn"] {
        assert!(json[key].is_string(), "{key}");
    }
    saved.log_in_to_app(&profile, "prod", (Some(READER), 3_600));
    let several = "multiple apps are available (aws, prod), please specify one via CLI argument";
    assert_eq!(run(None, ConfigFormat::Uri).unwrap_err(), several);
    assert_eq!(run(Some("x"), ConfigFormat::Uri).unwrap_err(), "not logged into app \"x\"");
}

#[test]
fn the_local_authority_is_kept_while_it_outlives_the_session() {
    use std::os::unix::fs::PermissionsExt as _;
    let saved = Saved::new();
    let profile = saved.log_in("teleport.example.com", 43_200);
    saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
    let context = saved.context();
    let login = context.login_of(profile.clone()).unwrap();
    let mut session = saved.sessions(&profile).remove(0);
    let ca = |session: &SavedSession| {
        let place = Place::of_app(&context, &login, &session.app);
        let ca = place.authority(now(), session.claims.expires).unwrap();
        ca.cert().as_str().to_owned()
    };
    let first = ca(&session);
    assert_eq!(ca(&session), first, "kept");
    let files = context.home.app_files(&profile, &session.app);
    let bundle = std::fs::read_to_string(&files.local_ca).unwrap();
    assert_eq!(bundle, first);
    assert!(!bundle.contains("PRIVATE KEY"));
    let mode = std::fs::metadata(&files.local_ca_key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    session.claims.expires = now() + Duration::from_secs(40 * 86_400);
    assert_ne!(ca(&session), first, "a session that it does not outlive gets another");
    std::fs::write(&files.local_ca_key, "rubbish").unwrap();
    let second = ca(&session);
    assert_eq!(std::fs::read_to_string(&files.local_ca).unwrap(), second);
}

#[test]
fn the_role_table_is_that_of_the_original() {
    let app = App::new(AppName::parse("aws").unwrap(), "https://console.aws.amazon.com");
    let allowed = [READER.to_owned(), "arn:aws:iam::123456789012:role/admin".to_owned()];
    let choice = access::resolve_aws_role(&allowed, &app, None).unwrap_err();
    assert_eq!(choice.to_string(), "--aws-role flag is required");
    insta::assert_snapshot!(app_session::role_table(choice.candidates()), @r"
    Available AWS roles:
    Role Name  Role ARN
    ---------  -------------------------------------
    admin      arn:aws:iam::123456789012:role/admin
    reader     arn:aws:iam::123456789012:role/reader
    ");
}
