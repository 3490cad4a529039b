//! Writing a resource as YAML: what is wrong is said at its line, before anything is stored.

use access::resource::{Finding, validate};
use api::resource::{Kind, PutMode, PutRequest, Resource};
use api::yaml::{self, YamlProblem};
use askama::Template;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{Frame, Here, as_sentence, go};
use crate::web::page::Page;
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::sign_in::in_words;

/// What is edited, and where.
pub(crate) struct Desk<'a> {
    pub(crate) kind: Kind,
    pub(crate) here: Here,
    pub(crate) title: &'a str,
    /// The page to go back to.
    pub(crate) back: &'a str,
    pub(crate) back_name: &'static str,
    /// Where the form goes.
    pub(crate) action: &'a str,
    /// The name of what is there already; a new one has none.
    pub(crate) name: Option<&'a str>,
    /// The page that asks whether to delete it.
    pub(crate) delete: Option<String>,
    pub(crate) help: &'static str,
}

/// The form.
#[derive(Deserialize)]
pub(crate) struct Written {
    pub(crate) yaml: String,
}

/// Something wrong, where it is known with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) words: String,
}

#[derive(Template)]
#[template(path = "editor.html")]
struct EditorPage<'a> {
    frame: Frame,
    desk: &'a Desk<'a>,
    yaml: &'a str,
    mistakes: Vec<Mistake>,
    warnings: Vec<String>,
    rows: usize,
    /// The first line that is wrong; 0 for none.
    bad: usize,
    excerpt: Vec<Excerpt<'a>>,
}

/// A line around the first one that is wrong.
struct Excerpt<'a> {
    number: usize,
    text: &'a str,
    is_bad: bool,
}

/// The editor with a text.
pub(crate) fn show(page: &Page, desk: &Desk<'_>, yaml: &str) -> Response {
    draw(page, (desk, StatusCode::OK), yaml, (Vec::new(), Vec::new()))
}

/// Stores what was written, or shows what is wrong with it.
pub(crate) async fn save(
    page: &Page,
    desk: &Desk<'_>,
    written: &Written,
    done: &str,
) -> Result<Response, Refusal> {
    // Browsers send lines with CR LF.
    let yaml = written.yaml.replace("\r\n", "\n");
    let wrong = |mistakes| {
        draw(page, (desk, StatusCode::UNPROCESSABLE_ENTITY), &yaml, (mistakes, Vec::new()))
    };
    let resource = match read(desk, &yaml) {
        Ok(resource) => resource,
        Err(mistakes) => return Ok(wrong(mistakes)),
    };
    let mode = if desk.name.is_some() { PutMode::Update } else { PutMode::Create };
    let request = PutRequest { resource, mode };
    match page.me.client().put_resource(&request).await {
        Ok(reply) if reply.warnings.is_empty() => Ok(go(done)),
        Ok(reply) => {
            let warnings = reply.warnings.iter().map(|warning| as_sentence(warning)).collect();
            // It is stored; what is shown now has another revision.
            let name = request.resource.name().to_owned();
            let stored = page.me.client().resource(desk.kind, &name).await;
            let stored = stored.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
            let yaml = yaml::write(&stored).unwrap_or(yaml.clone());
            Ok(draw(page, (desk, StatusCode::OK), &yaml, (Vec::new(), warnings)))
        }
        Err(error) if matches!(error.status(), Some(400 | 409 | 412 | 422)) => {
            let words = match error.status() {
                Some(409 | 412) if desk.name.is_some() => format!(
                    "{} Somebody else may have changed it meanwhile: open it again and repeat your change.",
                    in_words(&error)
                ),
                _ => in_words(&error),
            };
            Ok(wrong(vec![Mistake { line: 0, words }]))
        }
        Err(error) => Err(Refusal::of_auth(Asker::Page, &error)),
    }
}

fn draw(
    page: &Page,
    (desk, status): (&Desk<'_>, StatusCode),
    yaml: &str,
    (mistakes, warnings): (Vec<Mistake>, Vec<String>),
) -> Response {
    let bad = mistakes.iter().map(|mistake| mistake.line).find(|line| *line > 0).unwrap_or(0);
    let template = EditorPage {
        frame: page.frame(desk.here),
        desk,
        yaml,
        mistakes,
        warnings,
        rows: yaml.lines().count().clamp(12, 40),
        bad,
        excerpt: excerpt(yaml, bad),
    };
    super::page(status, &template)
}

fn excerpt(yaml: &str, bad: usize) -> Vec<Excerpt<'_>> {
    if bad == 0 {
        return Vec::new();
    }
    let lines = yaml.lines().enumerate().map(|(place, text)| (place + 1, text));
    let near = lines.filter(|(number, _)| number.abs_diff(bad) <= 2);
    near.map(|(number, text)| Excerpt { number, text, is_bad: number == bad }).collect()
}

/// Reads one resource of the desk's kind and name, and checks what it says.
fn read(desk: &Desk<'_>, yaml: &str) -> Result<Resource, Vec<Mistake>> {
    let at = |line: usize, words: String| vec![Mistake { line, words }];
    let problem = |problem: YamlProblem| {
        at(usize::try_from(problem.line).unwrap_or(1), as_sentence(&problem.reason))
    };
    let documents = yaml::documents(yaml, "editor").map_err(problem)?;
    let [document] = documents.as_slice() else {
        let words = match documents.get(1) {
            None => format!("There is nothing here. Write a {}.", desk.kind),
            Some(_) => "Write one document only; `---` begins another.".to_owned(),
        };
        let line = documents.get(1).map_or(1, |second| usize::try_from(second.line()).unwrap_or(1));
        return Err(at(line, words));
    };
    let resource = Resource::read(document, "editor").map_err(problem)?;
    if resource.kind() != desk.kind {
        let words = format!("This page is for `kind: {}`.", desk.kind);
        return Err(at(line_of(yaml, "kind"), words));
    }
    if let Some(name) = desk.name.filter(|name| *name != resource.name()) {
        let words = format!(
            "The name cannot be changed here; it is `{name}`. For another name make a new one."
        );
        return Err(at(line_of(yaml, "metadata.name"), words));
    }
    let findings = findings(&resource);
    if findings.is_empty() {
        return Ok(resource);
    }
    let mistakes = findings.iter().map(|finding| Mistake {
        line: line_of(yaml, &finding.path),
        words: format!("`{}`: {}", finding.path, as_sentence(&finding.message)),
    });
    Err(mistakes.collect())
}

fn findings(resource: &Resource) -> Vec<Finding> {
    let checked = match resource {
        Resource::Role(role) => validate(&**role),
        Resource::User(user) => validate(&**user),
        Resource::App(app) => validate(&**app),
        Resource::Lock(lock) => validate(&**lock),
        // The Auth Service says what of it does not fit.
        Resource::Token(_) | Resource::ClusterAuthPreference(_) => Ok(()),
    };
    checked.err().map(|invalid| invalid.findings).unwrap_or_default()
}

/// The line of a field such as `spec.allow.rules[1].verbs`, or of the nearest field around it; from 1.
fn line_of(yaml: &str, path: &str) -> usize {
    let lines: Vec<&str> = yaml.lines().collect();
    let (mut from, mut deeper_than, mut found) = (0, None, 1);
    for part in path.split('.') {
        let (key, index) = match part.split_once('[') {
            Some((key, rest)) => (key, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(place) = place_of(&lines, from, deeper_than, key) else { break };
        found = place + 1;
        deeper_than = lines.get(place).map(|line| indent(line));
        from = place + 1;
        if let Some(index) = index {
            let items = lines.iter().enumerate().skip(from);
            let mut items = items
                .take_while(|(_, line)| {
                    line.trim().is_empty() || indent(line) >= deeper_than.unwrap_or(0)
                })
                .filter(|(_, line)| line.trim_start().starts_with('-'));
            let Some((item, _)) = items.nth(index) else { break };
            found = item + 1;
            from = item;
        }
    }
    found
}

fn place_of(lines: &[&str], from: usize, deeper_than: Option<usize>, key: &str) -> Option<usize> {
    let is_key = |line: &str| {
        let text = line.trim_start().trim_start_matches("- ").trim_start();
        let text = text.strip_prefix(['\'', '"']).unwrap_or(text);
        text.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['\'', '"']).trim_start().starts_with(':'))
    };
    let inside = lines.iter().enumerate().skip(from).take_while(|(place, line)| {
        let is_over = deeper_than.is_some_and(|than| indent(line) <= than)
            && !line.trim().is_empty()
            && !line.trim_start().starts_with('-');
        *place == from || !is_over
    });
    inside.filter(|(_, line)| is_key(line)).map(|(place, _)| place).next()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "kind: role\nversion: v7\nmetadata:\n  name: dev\nspec:\n  allow:\n    aws_role_arns:\n    - one\n    - two\n    rules:\n    - resources: [user]\n      verbs: [list]\n    - resources: [role]\n      verbs: [read]\n  deny:\n    rules: []\n";

    #[test]
    fn fields_are_found_at_their_lines() {
        for (path, line) in [
            ("kind", 1),
            ("metadata.name", 4),
            ("spec.allow", 6),
            ("spec.allow.aws_role_arns[0]", 8),
            ("spec.allow.aws_role_arns[1]", 9),
            ("spec.allow.rules[0].verbs", 12),
            ("spec.allow.rules[1].verbs", 14),
            ("spec.deny.rules", 16),
            ("spec.nothing", 5),
            ("nothing", 1),
        ] {
            assert_eq!(line_of(ROLE, path), line, "{path}");
        }
    }

    fn desk<'a>(name: Option<&'a str>) -> Desk<'a> {
        Desk {
            kind: Kind::Role,
            here: Here::Roles,
            title: "",
            back: "",
            back_name: "",
            action: "",
            name,
            delete: None,
            help: "",
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_line() {
        for (yaml, line, words) in [
            (ROLE.replace("verbs: [list]", "verb: [list]"), 12, "did you mean `verbs`?"),
            (ROLE.replace("name: dev", "name: 'a b'"), 4, "a b"),
            (ROLE.replace("kind: role", "kind: lock"), 0, ""),
            (format!("{ROLE}---\n{ROLE}"), 18, "one document"),
            (String::new(), 1, "nothing here"),
            ("kind: [".to_owned(), 1, ""),
        ] {
            let mistakes = read(&desk(None), &yaml).unwrap_err();
            assert!(line == 0 || mistakes[0].line == line, "{mistakes:?} for {yaml}");
            assert!(mistakes[0].words.contains(words), "{mistakes:?}");
        }
        read(&desk(Some("dev")), ROLE).unwrap();
        let renamed = read(&desk(Some("other")), ROLE).unwrap_err();
        assert_eq!(renamed[0].line, 4);
    }
}
