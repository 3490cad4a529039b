//! Hosts, scopes and requests that are endpoints, and those that are none.

mod hosts;
mod properties;
mod requests;

use http::Request;
use http::request::Parts;

use crate::sigv4::Scope;

fn scope(service: &str, region: &str) -> Scope {
    Scope::parse(&format!("20150830/{region}/{service}/aws4_request")).unwrap()
}

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}
