//! Which operation a request calls, by its method and path, or by its name.
//!
//! A line is `<method><shared><path>⇥<operation>⇥<mark>`: the method's letter (`G`ET, `P`OST, p`U`t, `D`ELETE, `H`EAD,
//! p`A`tch), how many segments the path shares with the line before, the rest of the path (`*` is a label, `+` one or
//! more segments; behind `?` stand parameters that tell the operation). A line `o<operation>⇥<mark>` has a name alone.
//! The mark is `!` where the answer holds AWS keys, and the number of the operation's group where it is not the first.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::Row;
use crate::query;

/// An operation of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// Its answer holds AWS keys.
    pub(crate) gives_keys: bool,
    /// Its place among the service's groups.
    pub(crate) group: usize,
}

/// A path, split and decoded once, in the one spelling that is matched: no empty segments, no `.` and `..`.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    segments: Vec<Cow<'a, str>>,
    ends_in_slash: bool,
}

impl<'a> Path<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let mut segments = Vec::new();
        for raw in path.split('/').filter(|raw| !raw.is_empty()) {
            match percent_decode_str(raw).decode_utf8_lossy() {
                dot if dot == "." => {}
                up if up == ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        Self { segments, ends_in_slash: path.ends_with('/') }
    }

    /// The segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(Cow::as_ref)
    }
}

impl Operation {
    /// By its name, in any case: whether it is marked. Operations of REST services are all there, of others only those
    /// that are marked.
    pub(crate) fn by_name(row: &Row, name: &str) -> Option<Self> {
        row.operations().find_map(|line| {
            let (head, rest) = line.split_once('\t').unwrap_or((line, ""));
            let (known, mark) = match head.strip_prefix('o') {
                Some(known) => (known, rest),
                None => rest.split_once('\t').unwrap_or((rest, "")),
            };
            known.eq_ignore_ascii_case(name).then(|| Self::new(known, mark))
        })
    }

    /// By method, path and query: of those that fit, the one that says most. With how much it says.
    pub(crate) fn by_path(
        row: &Row,
        method: &Method,
        path: &Path<'_>,
        query: &str,
    ) -> Option<(Self, u32)> {
        let letter = letter(method)?;
        let mut pattern: Vec<&'static str> = Vec::new();
        let mut best = None;
        for line in row.operations() {
            let Some((at, shared, rest)) = split(line) else { continue };
            let (tail, rest) = rest.split_once('\t').unwrap_or((rest, ""));
            pattern.truncate(shared);
            pattern.extend(tail.split('/'));
            if at != letter {
                continue;
            }
            let Some(score) = fits(&pattern, path, query) else { continue };
            if best.is_none_or(|(_, most)| score > most) {
                let (name, mark) = rest.split_once('\t').unwrap_or((rest, ""));
                best = Some((Self::new(name, mark), score));
            }
        }
        best
    }

    fn new(name: &'static str, mark: &str) -> Self {
        let (gives_keys, group) = match mark.strip_prefix('!') {
            Some(group) => (true, group),
            None => (false, mark),
        };
        Self { name, gives_keys, group: group.parse().unwrap_or(0) }
    }
}

fn letter(method: &Method) -> Option<char> {
    Some(match method.as_str() {
        "GET" => 'G',
        "POST" => 'P',
        "PUT" => 'U',
        "DELETE" => 'D',
        "HEAD" => 'H',
        "PATCH" => 'A',
        _ => return None,
    })
}

/// Method, shared segments, and what is behind.
fn split(line: &'static str) -> Option<(char, usize, &'static str)> {
    let mut chars = line.chars();
    let method = chars.next().filter(|method| *method != 'o')?;
    let shared = chars.next()?.to_digit(10)?;
    Some((method, usize::try_from(shared).ok()?, chars.as_str()))
}

/// Whether a path and query fit a pattern, and how much of them it says: parameters count more than segments.
fn fits(pattern: &[&str], path: &Path<'_>, query: &str) -> Option<u32> {
    let (last, first) = pattern.split_last()?;
    let (last, parameters) = last.split_once('?').unwrap_or((last, ""));
    let wanted = first.iter().copied().chain([last]).filter(|segment| !segment.is_empty());
    let wanted: Vec<&str> = wanted.collect();
    let segments = &path.segments;
    let literal = match wanted.iter().position(|segment| *segment == "+") {
        None if wanted.len() == segments.len() => equal(&wanted, segments)?,
        None => return None,
        Some(_) if segments.len() < wanted.len() => return None,
        Some(greedy) => {
            let behind = wanted.len() - greedy - 1;
            let head = equal(wanted.get(..greedy)?, segments.get(..greedy)?)?;
            let tail = segments.get(segments.len() - behind..)?;
            head + equal(wanted.get(greedy + 1..)?, tail)?
        }
    };
    let mut told = 0;
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let has = query::pairs(query).any(|pair| {
            pair.is_named(name) && (value.is_empty() || pair.value.as_ref() == value.as_bytes())
        });
        if !has {
            return None;
        }
        told += 1;
    }
    let whole = u32::from(!wanted.contains(&"+"));
    // `/agents/x` and `/agents/x/` are operations of two services of Bedrock.
    let same_end = u32::from(last.is_empty() == path.ends_in_slash);
    Some(told * 1000 + literal * 4 + whole * 2 + same_end)
}

/// How many segments are literally equal, if all others are labels.
fn equal(wanted: &[&str], segments: &[Cow<'_, str>]) -> Option<u32> {
    let mut literal = 0;
    for (want, have) in wanted.iter().zip(segments) {
        if *want == have.as_ref() {
            literal += 1;
        } else if *want != "*" {
            return None;
        }
    }
    Some(literal)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Operation, Path};
    use crate::service::Service;

    fn named(service: &str, method: &str, uri: &str) -> Option<&'static str> {
        let row = Service::from_id(service).unwrap().row();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Operation::by_path(row, &method, &Path::of(path), query)
            .map(|(operation, _)| operation.name)
    }

    #[test]
    fn method_and_path_name_the_operation() {
        for (service, method, uri, name) in [
            ("lambda", "POST", "/2015-03-31/functions/f/invocations", Some("Invoke")),
            ("lambda", "GET", "/2015-03-31/functions/", Some("ListFunctions")),
            ("lambda", "GET", "/2015-03-31/functions", Some("ListFunctions")),
            ("lambda", "GET", "/2015-03-31/functions/f?Qualifier=1", Some("GetFunction")),
            (
                "lambda",
                "GET",
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%2Fy",
                Some("GetFunction"),
            ),
            ("lambda", "GET", "/nothing/of/the/kind", None),
            ("bedrock-agent", "POST", "/agents/a/", Some("PrepareAgent")),
            ("bedrock-agent-runtime", "POST", "/agents/s", Some("InvokeInlineAgent")),
            ("lambda", "TRACE", "/2015-03-31/functions", None),
            ("route53", "GET", "/2013-04-01/hostedzone", Some("ListHostedZones")),
            ("route53", "GET", "/2013-04-01/hostedzone/Z1/rrset", Some("ListResourceRecordSets")),
            (
                "cloudfront",
                "POST",
                "/2020-05-31/tagging?Operation=Tag&Resource=x",
                Some("TagResource"),
            ),
            ("cloudfront", "POST", "/2020-05-31/tagging?Operation=Untag", Some("UntagResource")),
            ("apigateway", "GET", "/restapis/a/deployments/b", Some("GetDeployment")),
        ] {
            assert_eq!(named(service, method, uri), name, "{service} {method} {uri}");
        }
    }

    #[test]
    fn other_spellings_of_a_path_hide_no_operation() {
        for uri in [
            "/clusters/c/assume-role-for-pod-identity",
            "//clusters/c//assume-role-for-pod-identity/",
            "/clusters/c/%61ssume-role-for-pod-identity",
            "/x/../clusters/./c/assume-role-for-pod-identity",
        ] {
            assert_eq!(named("eks-auth", "POST", uri), Some("AssumeRoleForPodIdentity"), "{uri}");
        }
    }

    #[test]
    fn operations_that_give_keys_are_marked() {
        for (service, name, gives) in [
            ("eks-auth", "AssumeRoleForPodIdentity", true),
            ("lakeformation", "GetTemporaryGlueTableCredentials", true),
            ("codepipeline", "PollForJobs", true),
            ("iam", "CreateAccessKey", true),
            ("iam", "createaccesskey", true),
            ("s3control", "GetDataAccess", true),
            ("lambda", "Invoke", false),
        ] {
            let row = Service::from_id(service).unwrap().row();
            let found = Operation::by_name(row, name).is_some_and(|operation| operation.gives_keys);
            assert_eq!(found, gives, "{service} {name}");
        }
    }
}
