//! What an event is looked up by: whom, which app, session, role, operation and table it concerns, and
//! how it ended. An index over the log is made of these; nothing here can be read out of it that the
//! event does not say.

use crate::events::{Event, Outcome, RequestFields, What};

/// What an event is looked up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Who did it, and whom it was done to.
    pub users: Vec<&'a str>,
    /// The app.
    pub app: Option<&'a str>,
    /// The app session.
    pub session: Option<&'a str>,
    /// AWS roles by ARN, roles of the cluster by name.
    pub roles: Vec<&'a str>,
    /// The AWS service of a request, by its signing name.
    pub service: Option<&'a str>,
    /// The operation of a request.
    pub operation: Option<&'a str>,
    /// The DynamoDB tables of a request.
    pub tables: &'a [String],
    /// How it ended.
    pub verdict: Verdict,
    /// Whether it is a request to an app.
    pub is_request: bool,
}

/// How what an event tells of has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done.
    Ok,
    /// A rule of ours refused it.
    Denied,
    /// It failed, was answered with an error, or its outcome is not known.
    Failed,
}

impl Event {
    /// What it is looked up by.
    pub fn facts(&self) -> Facts<'_> {
        let mut facts = Facts {
            users: self.user().into_iter().collect(),
            app: None,
            session: None,
            roles: Vec::new(),
            service: None,
            operation: None,
            tables: &[],
            verdict: verdict_of(self.code()),
            is_request: false,
        };
        match self.what.as_request() {
            Some(request) => facts.add_request(request),
            None => facts.add(&self.what),
        }
        facts
    }
}

impl<'a> Facts<'a> {
    fn add_request(&mut self, request: &'a RequestFields) {
        self.app = Some(&request.app_name);
        self.session = Some(&request.sid);
        self.roles.extend(request.aws_role_arn.as_deref());
        self.service = Some(&request.aws_service);
        self.operation = request.operation.as_deref();
        self.tables = &request.tables;
        self.verdict = match (request.outcome, request.status_code) {
            (Outcome::Answered, None | Some(..400)) => Verdict::Ok,
            (Outcome::Refused, _) => Verdict::Denied,
            (Outcome::Answered | Outcome::Unknown | Outcome::Failed, _) => Verdict::Failed,
        };
        self.is_request = true;
    }

    fn add(&mut self, what: &'a What) {
        match what {
            What::AppSessionStart(kind) => {
                self.of_session(&kind.app_name, &kind.sid, kind.aws_role_arn.as_deref());
            }
            What::AppSessionEnd(kind) => {
                self.of_session(&kind.app_name, &kind.sid, kind.aws_role_arn.as_deref());
            }
            What::CertCreate(kind) => {
                if let Some(app) = &kind.identity.route_to_app {
                    self.of_session(&app.name, &app.session_id, app.aws_role_arn.as_deref());
                }
            }
            What::AppCreate(kind) => self.app = Some(&kind.name),
            What::AppUpdate(kind) => self.app = Some(&kind.name),
            What::AppDelete(kind) => self.app = Some(&kind.name),
            What::RoleCreated(kind) => self.roles.push(&kind.name),
            What::RoleUpdated(kind) => self.roles.push(&kind.name),
            What::RoleDeleted(kind) => self.roles.push(&kind.name),
            What::LockCreated(kind) => {
                self.users.extend(kind.target.user.as_deref());
                self.roles.extend(kind.target.role.as_deref());
                self.roles.extend(kind.target.aws_role_arn.as_deref());
                self.session = kind.target.app_session.as_deref();
            }
            other => self.add_user(other),
        }
    }

    /// What was done to a user.
    fn add_user(&mut self, what: &'a What) {
        let (name, roles): (&'a str, &'a [String]) = match what {
            What::UserCreate(kind) => (&kind.0.name, &kind.0.roles),
            What::UserUpdate(kind) => (&kind.0.name, &kind.0.roles),
            What::UserDelete(kind) => (&kind.name, &[]),
            What::ResetTokenCreate(kind) => (&kind.name, &[]),
            _ => return,
        };
        self.users.push(name);
        self.roles.extend(roles.iter().map(String::as_str));
    }

    fn of_session(&mut self, app: &'a str, session: &'a str, role: Option<&'a str>) {
        self.app = Some(app);
        self.session = Some(session);
        self.roles.extend(role);
    }
}

/// Codes of what did not come about end in `W` or `E`: in all of them it is we who refused.
fn verdict_of(code: &str) -> Verdict {
    if code.ends_with(['W', 'E']) { Verdict::Denied } else { Verdict::Ok }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;
    use crate::events::{AuthFailure, DynamoDbRequest, UserFields, UserUpdate};

    fn event(what: impl Into<What>) -> Event {
        Event::new(Uuid::nil(), UNIX_EPOCH, "c", what.into())
    }

    fn request(outcome: Outcome, status_code: Option<u16>) -> Event {
        event(DynamoDbRequest(RequestFields {
            user: "alice".to_owned(),
            app_name: "aws".to_owned(),
            sid: "s1".to_owned(),
            aws_role_arn: Some("arn:aws:iam::1:role/r".to_owned()),
            aws_service: "dynamodb".to_owned(),
            operation: Some("PutItem".to_owned()),
            tables: vec!["t".to_owned()],
            outcome,
            status_code,
            ..RequestFields::default()
        }))
    }

    #[test]
    fn a_request_is_found_by_all_that_it_names() {
        let event = request(Outcome::Answered, Some(200));
        let facts = event.facts();
        assert_eq!((facts.app, facts.session), (Some("aws"), Some("s1")));
        assert_eq!(facts.roles, ["arn:aws:iam::1:role/r"]);
        assert_eq!((facts.service, facts.operation), (Some("dynamodb"), Some("PutItem")));
        assert_eq!(facts.tables, ["t"]);
        assert!(facts.is_request);
    }

    #[test]
    fn an_error_of_aws_is_a_failure_and_a_refusal_of_ours_a_denial() {
        for (outcome, status, verdict) in [
            (Outcome::Answered, Some(200), Verdict::Ok),
            (Outcome::Answered, None, Verdict::Ok),
            (Outcome::Answered, Some(400), Verdict::Failed),
            (Outcome::Answered, Some(503), Verdict::Failed),
            (Outcome::Refused, Some(403), Verdict::Denied),
            (Outcome::Unknown, None, Verdict::Failed),
            (Outcome::Failed, None, Verdict::Failed),
        ] {
            assert_eq!(request(outcome, status).facts().verdict, verdict, "{outcome:?} {status:?}");
        }
        let refused = event(AuthFailure::new(Some("eve"), "no".to_owned(), None));
        assert_eq!(refused.facts().verdict, Verdict::Denied);
    }

    #[test]
    fn a_change_to_a_user_is_found_by_both_users_and_the_roles() {
        let event = event(UserUpdate(UserFields {
            user: "admin".to_owned(),
            name: "alice".to_owned(),
            roles: vec!["access".to_owned()],
            connector: "local".to_owned(),
            expires: None,
        }));
        assert_eq!(event.facts().users, ["admin", "alice"]);
        assert_eq!(event.facts().roles, ["access"]);
    }
}
