//! Compressed forms: read as far as the call's facts need it, while the body itself goes on as it came.
//!
//! SDKs compress large requests of some operations by gzip
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-compression.html>). Compressed forms that a service which does
//! not unpack them could read otherwise are refused.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::bufread::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::request::Parts;

use crate::sts::names_action;

/// Most bytes that come out of a compressed body, as many as are read of one that is not.
const LIMIT: usize = 16 << 20;

/// The form in a body, unpacked where it is compressed; an error is the rule that it breaks.
pub(crate) fn form<'a>(parts: &Parts, body: &'a [u8]) -> Result<Cow<'a, [u8]>, &'static str> {
    let mut encodings = parts.headers.get_all(CONTENT_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(Cow::Borrowed(body)) };
    if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"gzip") {
        return Err("must have a plain body, or one in gzip");
    }
    // What stands in the header of a gzip file, or uncompressed within, can be read as a form by those who do not unpack.
    if names_action(&String::from_utf8_lossy(body)) {
        return Err("must not name an Action both compressed and not");
    }
    unpack(body).map(Cow::Owned)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut decoder = GzDecoder::new(packed);
    let mut out = Vec::new();
    let most = LIMIT as u64 + 1;
    decoder
        .by_ref()
        .take(most)
        .read_to_end(&mut out)
        .map_err(|_| "must have a body that is whole gzip")?;
    if out.len() > LIMIT {
        return Err("must not have a compressed body of more than 16 MiB when unpacked");
    }
    // A second file behind the first is read by some and not by others.
    match decoder.into_inner().is_empty() {
        true => Ok(out),
        false => Err("must have a body that is one gzip file and nothing else"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};
    use http::Request;

    use super::*;

    fn parts(encodings: &[&str]) -> Parts {
        let mut request = Request::post("/");
        for encoding in encodings {
            request = request.header(CONTENT_ENCODING, *encoding);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn packed(data: &[u8], builder: GzBuilder, level: Compression) -> Vec<u8> {
        let mut encoder = builder.write(Vec::new(), level);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn best(data: &[u8]) -> Vec<u8> {
        packed(data, GzBuilder::new(), Compression::best())
    }

    const FORM: &[u8] = b"Action=PutMetricData&Version=2010-08-01&MetricData.member.1.Value=1";

    #[test]
    fn gzip_is_unpacked_and_what_is_plain_stays() {
        assert!(matches!(form(&parts(&[]), FORM), Ok(Cow::Borrowed(FORM))));
        for encoding in ["gzip", "GZIP"] {
            assert_eq!(form(&parts(&[encoding]), &best(FORM)).unwrap(), FORM);
        }
        let most = vec![b'x'; LIMIT];
        assert_eq!(form(&parts(&["gzip"]), &best(&most)).unwrap().len(), LIMIT);
    }

    #[test]
    fn bombs_rubbish_and_unknown_encodings_are_refused() {
        let bomb = best(&vec![0; 200 << 20]);
        assert!(bomb.len() < 1 << 20);
        let good = best(FORM);
        let (mut wrong_sum, mut two) = (good.clone(), good.clone());
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        two.extend(&good);
        let more = [good.as_slice(), b"\0"].concat();
        for body in [&bomb, &good[..good.len() - 1], &good[1..], FORM, b"", &wrong_sum, &two, &more]
        {
            let length = body.len();
            assert!(form(&parts(&["gzip"]), body).is_err(), "{length} bytes");
        }
        for encodings in
            [&["deflate"][..], &["br"], &["gzip, gzip"], &["gzip", "gzip"], &["identity"], &[""]]
        {
            assert!(form(&parts(encodings), &good).is_err(), "{encodings:?}");
        }
    }

    #[test]
    fn what_can_be_read_without_unpacking_is_refused() {
        let stored = packed(b"&Action=PutMetricData&x=y", GzBuilder::new(), Compression::none());
        let named = GzBuilder::new().filename("x&Action=DeleteAlarms&y");
        let spelled = GzBuilder::new().comment("&%61ction=DeleteAlarms&");
        let level = Compression::best();
        for body in [stored, packed(FORM, named, level), packed(FORM, spelled, level)] {
            assert!(form(&parts(&["gzip"]), &body).is_err());
        }
    }
}
