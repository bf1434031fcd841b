//! Checks the signature of a request.
//!
//! What does not need the body is checked before the body is read: only a sender that knows the headers can make the server hold
//! one.

use actix_web::http::header::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::model::{
    route::signature::{Encoding, Form, Part, Place, Signature},
    timestamp::Timestamp,
};

/// Maximum number of signatures in a request. Each costs a comparison for each key.
const SIGNATURES_MAX: usize = 16;
/// A timestamp beyond this is in milliseconds: as seconds it would be in the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;
/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// Checks the requests of a route. It has no `Debug`, because it holds keys.
pub(super) struct Checker {
    signature: Signature,
    keys: Vec<Vec<u8>>,
}

/// A request's claim to be signed, not yet compared with its body.
pub(super) struct Claim {
    encoding: Encoding,
    /// The signed text around the body.
    before: Vec<u8>,
    after: Vec<u8>,
    /// The signatures, decoded.
    signatures: Vec<Vec<u8>>,
}

impl Checker {
    pub(super) fn new(signature: Signature, keys: Vec<Vec<u8>>) -> Self {
        Self { signature, keys }
    }

    /// Reads the headers of a request at `now`. The error says which header is wrong.
    pub(super) fn read(&self, headers: &HeaderMap, now: Timestamp) -> Result<Claim, String> {
        let forms = &self.signature.forms;
        let form = forms.iter().find(|form| headers.contains_key(&form.signature.header));
        let Some(form) = form else {
            let names: Vec<_> = forms.iter().map(|form| form.signature.header.as_str()).collect();
            return Err(format!("{}: is missing", names.join(" or ")));
        };
        let timestamp = match &form.timestamp {
            Some(place) => self.timestamp(place, headers, now)?,
            None => "",
        };
        let (before, after) = around_body(form, headers, timestamp)?;
        let signatures = self.signatures(&form.signature, headers)?;
        Ok(Claim { encoding: self.signature.encoding, before, after, signatures })
    }

    /// Whether one of the keys made one of the signatures of this body. Takes as long whichever it is.
    pub(super) fn is_signed(&self, claim: &Claim, body: &[u8]) -> bool {
        let by_key = self.keys.iter().map(|key| match claim.encoding {
            Encoding::Plain => Sha256::digest(key).to_vec(),
            Encoding::Hex | Encoding::Base64 => tag(key, [&claim.before, body, &claim.after]),
        });
        let matches = |expected: Vec<u8>| {
            let each = claim.signatures.iter().map(|sent| expected.ct_eq(sent));
            each.fold(Choice::from(0), |any, one| any | one)
        };
        bool::from(by_key.map(matches).fold(Choice::from(0), |any, one| any | one))
    }

    /// The timestamp as sent, if it is near `now`.
    fn timestamp<'h>(&self, place: &Place, headers: &'h HeaderMap, now: Timestamp) -> Result<&'h str, String> {
        let name = &place.header;
        let value = header(headers, name)?;
        let text = if place.prefix.is_empty() { Some(value.trim()) } else { listed(value, &place.prefix).next() };
        let text = text.ok_or_else(|| format!("{name}: has no {}", place.prefix))?;
        let number: i64 = text.parse().map_err(|_| format!("{name}: the timestamp is not a whole number"))?;
        let seconds = if number > SECONDS_MAX { number / 1_000 } else { number };
        let age = now.seconds().saturating_sub(seconds);
        let tolerance = self.signature.tolerance_seconds;
        if age.unsigned_abs() <= tolerance.into() {
            return Ok(text);
        }
        let (distance, side) = (age.unsigned_abs(), if age > 0 { "old" } else { "ahead" });
        Err(format!("{name}: the timestamp is {distance} seconds {side}, and {tolerance} are tolerated"))
    }

    /// The signatures in a header, decoded. Of a secret, its hash: then the comparison does not depend on its length.
    fn signatures(&self, place: &Place, headers: &HeaderMap) -> Result<Vec<Vec<u8>>, String> {
        let values = headers.get_all(place.header.as_str()).filter_map(|value| value.to_str().ok());
        let mut found = Vec::new();
        for value in values {
            let decoded: Vec<_> = match self.signature.encoding {
                Encoding::Plain => {
                    let secret = value.trim().strip_prefix(&place.prefix);
                    secret.map(|secret| Sha256::digest(secret.trim()).to_vec()).into_iter().collect()
                }
                Encoding::Hex => listed(value, &place.prefix).filter_map(from_hex).collect(),
                Encoding::Base64 => {
                    listed(value, &place.prefix).filter_map(|text| BASE64_STANDARD.decode(text).ok()).collect()
                }
            };
            found.extend(decoded.into_iter().filter(|bytes| bytes.len() == TAG_BYTES).take(SIGNATURES_MAX));
        }
        found.truncate(SIGNATURES_MAX);
        if found.is_empty() {
            return Err(format!("{}: has no signature of the expected form", place.header));
        }
        Ok(found)
    }
}

/// The signed text before and after the body.
fn around_body(form: &Form, headers: &HeaderMap, timestamp: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (mut before, mut after, mut is_before) = (Vec::new(), Vec::new(), true);
    for part in &form.signed {
        let text = match part {
            Part::Text(text) => text,
            Part::Timestamp => timestamp,
            Part::Header(name) => header(headers, name)?,
            Part::Body => {
                is_before = false;
                continue;
            }
        };
        if is_before { &mut before } else { &mut after }.extend_from_slice(text.as_bytes());
    }
    Ok((before, after))
}

/// The value of a header that must appear once: of two, a proxy and this server could read different ones.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, String> {
    let mut values = headers.get_all(name);
    let value = values.next().ok_or_else(|| format!("{name}: is missing"))?;
    if values.next().is_some() {
        return Err(format!("{name}: appears twice"));
    }
    value.to_str().map_err(|_| format!("{name}: is not ASCII"))
}

/// The elements of a list that begin with `prefix`, without it. Spaces separate them, and commas unless the prefix has one.
fn listed<'h>(value: &'h str, prefix: &str) -> impl Iterator<Item = &'h str> {
    let has_comma = prefix.contains(',');
    let elements = value.split(move |char: char| char.is_ascii_whitespace() || (char == ',' && !has_comma));
    elements.filter_map(move |element| element.strip_prefix(prefix))
}

fn tag<'t>(key: &[u8], texts: impl IntoIterator<Item = &'t [u8]>) -> Vec<u8> {
    // A key may have any length.
    Hmac::<Sha256>::new_from_slice(key).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            texts.into_iter().for_each(|text| mac.update(text));
            mac.finalize().into_bytes().to_vec()
        },
    )
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::model::{
        mapping::Presets,
        route::{Route, signature::KeySource},
    };

    /// A checker of the signature that a configuration describes.
    fn checker(signature: &str) -> Checker {
        let text =
            format!("[[routes]]\nname = 'r'\npreset = 'auditbox'\ncredential = 'c'\nsignature = {{ {signature} }}\n");
        let route = Route::read_all(&text, &Presets::default()).unwrap().remove(0);
        let signature = route.signature.unwrap();
        let bytes = |key: &KeySource| match key {
            KeySource::Given(key) => key.bytes(signature.key_encoding).unwrap(),
            other => panic!("{other}"),
        };
        let keys = signature.keys.iter().map(bytes).collect();
        Checker::new(signature, keys)
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    /// Whether a request is accepted.
    fn accepts(checker: &Checker, lines: &[(&str, &str)], body: &[u8], now: i64) -> Result<bool, String> {
        checker.read(&headers(lines), at(now)).map(|claim| checker.is_signed(&claim, body))
    }

    proptest::proptest! {
        #[test]
        fn any_headers_are_read(
            values in proptest::collection::vec("[ -~]{0,40}|v1,[ -~]{0,60}|t=[0-9]{0,25}|(sha256|v1)=[0-9a-f]{60,68}", 0..4),
            name in "webhook-signature|stripe-signature|x-hub-signature-256",
        ) {
            let mut lines: Vec<_> = values.iter().map(|value| (&*name, &**value)).collect();
            lines.extend([("webhook-id", "1"), ("webhook-timestamp", "1795969540")]);
            for scheme in ["github", "stripe", "svix"] {
                let checker = checker(&format!("scheme = '{scheme}', keys = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']"));
                proptest::prop_assert_ne!(accepts(&checker, &lines, BODY, NOW), Ok(true));
            }
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect()
    }

    const NOW: i64 = 1_795_969_540;
    const BODY: &[u8] = br#"{"a":1}"#;

    #[test]
    fn the_published_vector_of_standard_webhooks_is_accepted() {
        let key = "keys = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']";
        let signature = "v1,5uOZ8kip7/5IWIgp+Haw/gCnhkwG22NjJJPcnfSdegI=";
        for (scheme, prefix) in [("standard-webhooks", "webhook"), ("svix", "svix"), ("svix", "webhook")] {
            let checker = checker(&format!("scheme = '{scheme}', {key}"));
            let [id, time, sent] = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
            let lines = |signature: &str, timestamp: &str| {
                let lines = [(&*id, "msg_1"), (&*time, timestamp), (&*sent, signature)];
                accepts(&checker, &lines, BODY, NOW)
            };
            assert_eq!(lines(signature, "1795969540"), Ok(true));
            // Several signatures, of other versions too.
            assert_eq!(lines(&format!("v1a,abc v1,{} {signature}", "A".repeat(43) + "="), "1795969540"), Ok(true));
            assert_eq!(lines(&signature.replace("5u", "5v"), "1795969540"), Ok(false));
            assert_eq!(lines(signature, "1795969541"), Ok(false));
            assert!(lines(signature, "1795969239").unwrap_err().contains("301 seconds old, and 300 are tolerated"));
            assert!(lines(signature, "1795969841").unwrap_err().contains("301 seconds ahead"));
            assert!(lines(signature, "soon").is_err() && lines("v2,x", "1795969540").is_err());
            assert!(accepts(&checker, &[(&*id, "msg_1"), (&*time, "1795969540")], BODY, NOW).is_err());
            let twice = [(&*id, "msg_1"), (&*id, "msg_2"), (&*time, "1795969540"), (&*sent, signature)];
            assert!(accepts(&checker, &twice, BODY, NOW).unwrap_err().ends_with("appears twice"));
        }
    }

    #[test]
    fn a_signature_of_the_body_alone_has_no_time() {
        let checker = checker("scheme = 'github', keys = ['an-old-secret', 'a-new-secret']");
        for key in ["an-old-secret", "a-new-secret"] {
            let signature = hex(&tag(key.as_bytes(), [BODY]));
            let accepts = |value: &str, body: &[u8]| accepts(&checker, &[("x-hub-signature-256", value)], body, NOW);
            assert_eq!(accepts(&format!("sha256={signature}"), BODY), Ok(true));
            assert_eq!(accepts(&format!("sha256={}", signature.to_uppercase()), BODY), Ok(true));
            assert_eq!(accepts(&format!("sha256={signature}"), br#"{"a":2}"#), Ok(false));
            for wrong in [signature.clone(), format!("sha256={}", &signature[2..]), "sha256=".to_owned()] {
                assert!(accepts(&wrong, BODY).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn each_bit_of_body_and_signature_counts() {
        let checker = checker("scheme = 'github', keys = ['a-new-secret']");
        let right = tag(b"a-new-secret", [BODY]);
        let is_signed = |signature: &[u8], body: &[u8]| {
            let value = format!("sha256={}", hex(signature));
            accepts(&checker, &[("x-hub-signature-256", &value)], body, NOW).unwrap()
        };
        assert!(is_signed(&right, BODY));
        for bit in 0..8 * TAG_BYTES {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed(&wrong, BODY), "{bit}");
        }
        for bit in 0..8 * BODY.len() {
            let mut wrong = BODY.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_signed(&right, &wrong), "{bit}");
        }
    }

    #[test]
    fn the_timestamp_may_be_in_the_header_of_the_signature_or_in_milliseconds() {
        let stripe = checker("scheme = 'stripe', keys = ['whsec_stripe']");
        let sign = |key: &str, text: &str| tag(key.as_bytes(), [text.as_bytes(), BODY]);
        let signature = hex(&sign("whsec_stripe", &format!("{NOW}.")));
        let value = format!("t={NOW},v1={},v1={signature},v0=x", "0".repeat(64));
        assert_eq!(accepts(&stripe, &[("stripe-signature", &value)], BODY, NOW), Ok(true));
        let late = format!("t={},v1={signature}", NOW + 1);
        assert_eq!(accepts(&stripe, &[("stripe-signature", &late)], BODY, NOW), Ok(false));
        let timeless = format!("v1={signature}");
        assert!(accepts(&stripe, &[("stripe-signature", &timeless)], BODY, NOW).unwrap_err().ends_with("has no t="));

        let port = checker("scheme = 'port', keys = ['client-secret']");
        for time in [NOW.to_string(), format!("{NOW}123")] {
            let signature = BASE64_STANDARD.encode(sign("client-secret", &format!("{time}.")));
            let lines = [("x-port-signature", &*format!("v1,{signature}")), ("x-port-timestamp", &*time)];
            assert_eq!(accepts(&port, &lines, BODY, NOW + 299), Ok(true), "{time}");
            assert!(accepts(&port, &lines, BODY, NOW + 301).is_err(), "{time}");
        }

        let slack = checker("scheme = 'slack', keys = ['slack-secret'], tolerance_seconds = 60");
        let signature = hex(&sign("slack-secret", &format!("v0:{NOW}:")));
        let time = NOW.to_string();
        let lines = [("x-slack-signature", &*format!("v0={signature}")), ("x-slack-request-timestamp", &*time)];
        assert_eq!(accepts(&slack, &lines, BODY, NOW + 60), Ok(true));
        assert!(accepts(&slack, &lines, BODY, NOW + 61).is_err());
    }

    #[test]
    fn a_secret_in_a_header_is_compared_as_a_whole() {
        let gitlab = checker("scheme = 'gitlab', keys = ['a-token-of-gitlab']");
        let bearer =
            checker("scheme = 'secret', header = 'Authorization', prefix = 'Bearer ', keys = ['a-token-of-x']");
        for (value, is_right) in
            [("a-token-of-gitlab", true), ("a-token-of-gitla", false), ("a-token-of-gitlab2", false)]
        {
            assert_eq!(accepts(&gitlab, &[("x-gitlab-token", value)], BODY, NOW), Ok(is_right), "{value}");
        }
        assert_eq!(accepts(&bearer, &[("authorization", "Bearer a-token-of-x")], BODY, NOW), Ok(true));
        assert!(accepts(&bearer, &[("authorization", "a-token-of-x")], BODY, NOW).is_err());
    }

    #[test]
    fn a_signature_of_ones_own_is_described() {
        let checker = checker(
            "header = 'X-Sig', prefix = 'h=', encoding = 'hex', signed = '{x-id}|{timestamp}|{body}|end', \
             timestamp = 'X-Time', key_encoding = 'base64', keys = ['MDEyMzQ1Njc4']",
        );
        let time = NOW.to_string();
        let signature = hex(&tag(b"012345678", [format!("7|{time}|").as_bytes(), BODY, b"|end"]));
        let value = format!("h={signature}");
        let lines = [("x-sig", &*value), ("x-time", &*time), ("x-id", "7")];
        assert_eq!(accepts(&checker, &lines, BODY, NOW), Ok(true));
        let lines = [("x-sig", &*value), ("x-time", &*time), ("x-id", "8")];
        assert_eq!(accepts(&checker, &lines, BODY, NOW), Ok(false));
    }
}
