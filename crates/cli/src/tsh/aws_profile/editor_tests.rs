//! Whatever a config file holds, taking our profiles out again leaves what was there.

use proptest::prelude::*;

use super::editor::{Clash, Marker, ProfileName, has_section, list, put, remove};

fn marker(name: &str, login: &str) -> Marker {
    Marker {
        name: ProfileName::parse(name).unwrap(),
        login: login.to_owned(),
        app: access::AppName::parse("aws").unwrap(),
        role: aws::RoleArn::parse("arn:aws:iam::123456789012:role/reader").unwrap(),
    }
}

fn lines() -> Vec<String> {
    vec!["region = us-east-1".to_owned(), "ca_bundle = /home/alice/ca.pem".to_owned()]
}

fn written(file: Option<&[u8]>, name: &str) -> Vec<u8> {
    put(file, &marker(name, "me"), &lines()).unwrap()
}

#[test]
fn a_profile_is_written_between_its_markers() {
    let text = written(Some(b"[default]\nregion=eu-west-1\n"), "aws-reader");
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
    [default]
    region=eu-west-1
    # >>> tsh aws-profile aws-reader login=me app=aws role=arn:aws:iam::123456789012:role/reader before=line >>>
    # Written by tsh and removed at logout; changes in here are lost.
    [profile aws-reader]
    region = us-east-1
    ca_bundle = /home/alice/ca.pem
    # <<< tsh aws-profile aws-reader <<<
    ");
}

#[test]
fn a_file_that_was_not_there_goes_again_and_an_empty_one_stays() {
    let text = written(None, "one");
    let text = written(Some(&text), "two");
    let left = remove(&text, |marker| marker.name.as_str() == "one");
    let text = left.text.unwrap();
    assert_eq!(list(&text).len(), 1);
    assert_eq!(remove(&text, |_| true).text, None);
    let text = written(Some(b""), "one");
    assert_eq!(remove(&text, |_| true).text, Some(Vec::new()));
    // What somebody else has added meanwhile keeps the file.
    let text = [written(None, "one"), b"[profile x]\n".to_vec()].concat();
    assert_eq!(remove(&text, |_| true).text, Some(b"[profile x]\n".to_vec()));
}

#[test]
fn names_of_others_are_refused() {
    for foreign in [
        "[profile aws-reader]\n",
        "  [ profile   aws-reader ] # mine\r\n",
        "[profile \"aws-reader\"]",
        "x\n[profile 'aws-reader']\n",
        "\u{feff}[profile aws-reader]\n",
    ] {
        let refused = put(Some(foreign.as_bytes()), &marker("aws-reader", "me"), &lines());
        assert_eq!(refused, Err(Clash::Foreign("aws-reader".to_owned())), "{foreign:?}");
    }
    let refused = put(Some(b"[default]\n"), &marker("default", "me"), &lines());
    assert_eq!(refused, Err(Clash::Foreign("default".to_owned())));
    for fine in ["# [profile aws-reader]\n", "[profile aws-reader2]\n", "[aws-reader]\n"] {
        assert!(put(Some(fine.as_bytes()), &marker("aws-reader", "me"), &lines()).is_ok());
    }
    let theirs = put(None, &marker("one", "another login"), &lines());
    assert!(theirs.is_ok_and(|text| list(&text).is_empty()), "a login has no spaces");
    let theirs = put(None, &marker("one", "other"), &lines()).unwrap();
    let refused = put(Some(&theirs), &marker("one", "me"), &lines());
    assert_eq!(refused, Err(Clash::OtherLogin("one".to_owned())));
    assert!(has_section(b"[one]\naws_access_key_id=x\n", &marker("one", "me").name));
    assert!(!has_section(b"[two]\n", &marker("one", "me").name));
}

#[test]
fn a_profile_that_was_cut_short_is_not_ours_any_more() {
    let text = String::from_utf8(written(Some(b"a\n"), "one")).unwrap();
    let cut = text.replace("# <<< tsh aws-profile one <<<\n", "");
    assert!(list(cut.as_bytes()).is_empty());
    assert_eq!(remove(cut.as_bytes(), |_| true).text.unwrap(), cut.as_bytes());
    // Another profile behind it is found all the same.
    let both = written(Some(cut.as_bytes()), "two");
    assert_eq!(list(&both).len(), 1);
    assert_eq!(remove(&both, |_| true).text.unwrap(), cut.as_bytes());
}

#[test]
fn only_safe_names_are_names() {
    for (name, fits) in [
        ("aws-reader", true),
        ("default", true),
        ("a.b_c@d+e=f,g", true),
        ("", false),
        ("a b", false),
        ("a]b", false),
        ("a\nb", false),
        ("ä", false),
    ] {
        assert_eq!(ProfileName::parse(name).is_ok(), fits, "{name:?}");
    }
    assert!(ProfileName::parse(&"x".repeat(129)).is_err());
}

/// A file of anything: bytes, lines of a config, pieces of our own markers.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        3 => "[a-z =\\[\\]#;\t]{0,20}".prop_map(String::into_bytes),
        1 => Just(b"[profile foreign]".to_vec()),
        1 => Just(b"# >>> tsh aws-profile p1 login=me app=aws role=arn:aws:iam::123456789012:role/reader before=lf >>>".to_vec()),
        1 => Just(b"# <<< tsh aws-profile zz <<<".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let end = prop_oneof![
        3 => Just(&b"\n"[..]), 2 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b""[..])
    ];
    proptest::collection::vec((line, end), 0..8)
        .prop_map(|lines| lines.iter().flat_map(|(l, e)| [l.as_slice(), e].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_file_comes_back_byte_for_byte(
        file in proptest::option::weighted(0.95, any_file()),
        steps in proptest::collection::vec((0_usize..4, any::<bool>()), 0..16),
    ) {
        let ours = |text: &[u8]| list(text).len();
        prop_assume!(file.as_ref().is_none_or(|file| ours(file) == 0));
        let mut now = file.clone();
        let mut names: Vec<String> = Vec::new();
        for (number, is_put) in steps {
            let name = format!("p{number}");
            if is_put {
                now = Some(written(now.as_deref(), &name));
                if !names.contains(&name) {
                    names.push(name);
                }
            } else if let Some(text) = &now {
                let left = remove(text, |marker| marker.name.as_str() == name);
                prop_assert_eq!(left.removed.len(), usize::from(names.contains(&name)));
                names.retain(|known| *known != name);
                now = left.text;
            }
            prop_assert_eq!(now.as_deref().map_or(0, ours), names.len());
        }
        let left = now.map(|text| remove(&text, |_| true).text);
        prop_assert_eq!(left.flatten(), file);
    }

    #[test]
    fn what_others_add_meanwhile_stays(
        first in any_file(),
        second in any_file(),
        third in any_file(),
    ) {
        let whole = |file: &[u8]| [file, b"\n"].concat();
        let (first, second, third) = (whole(&first), whole(&second), whole(&third));
        prop_assume!(list(&[first.as_slice(), &second, &third].concat()).is_empty());
        let mut text = written(Some(&first), "p1");
        text.extend(&second);
        prop_assume!(list(&text).len() == 1);
        let mut text = written(Some(&text), "p2");
        text.extend(&third);
        prop_assume!(list(&text).len() == 2);
        let left = remove(&text, |_| true).text.unwrap();
        prop_assert_eq!(left, [first, second, third].concat());
    }
}
