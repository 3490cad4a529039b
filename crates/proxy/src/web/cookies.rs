//! Cookies of the pages: all `__Host-`, so that no other host, and no app's subdomain, can set or read them.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// The browser's session.
pub(crate) const SESSION: &str = "__Host-causeway_session";
/// The twin of each form's `csrf` field.
pub(crate) const CSRF: &str = "__Host-causeway_csrf";
/// A sign-in between the password and the second factor.
pub(crate) const SIGN_IN: &str = "__Host-causeway_sign_in";
/// An invite between the password and the second factor.
pub(crate) const SET_UP: &str = "__Host-causeway_set_up";

/// The value of a cookie that is there exactly once; of several none is believed.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Sets a cookie for as long as the browser runs, or for `seconds`.
pub(crate) fn set(headers: &mut HeaderMap, name: &str, value: &str, seconds: Option<u64>) {
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let line = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{age}");
    if let Ok(mut line) = HeaderValue::from_str(&line) {
        line.set_sensitive(true);
        headers.append(SET_COOKIE, line);
    }
}

/// Takes a cookie away.
pub(crate) fn clear(headers: &mut HeaderMap, name: &str) {
    set(headers, name, "", Some(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others_and_lines() {
        let found = headers(&["a=1; __Host-causeway_session=x; b=2", "c=3"]);
        assert_eq!(read(&found, SESSION), Some("x"));
        assert_eq!(read(&found, "c"), Some("3"));
        assert_eq!(read(&found, CSRF), None);
    }

    #[test]
    fn of_two_cookies_of_one_name_none_is_believed() {
        assert_eq!(read(&headers(&["a=1; a=2"]), "a"), None);
        assert_eq!(read(&headers(&["a=1", "a=1"]), "a"), None);
    }

    #[test]
    fn every_cookie_is_closed_to_scripts_and_other_sites() {
        let mut out = HeaderMap::new();
        set(&mut out, SESSION, "x", None);
        clear(&mut out, SIGN_IN);
        let lines: Vec<_> = out.get_all(SET_COOKIE).iter().map(|l| l.to_str().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "__Host-causeway_session=x; Path=/; Secure; HttpOnly; SameSite=Lax",
                "__Host-causeway_sign_in=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
            ]
        );
    }
}
