//! Decodes query strings (WHATWG URL, section 5.1) and the identifier in a path. Invalid UTF-8 is rejected, not
//! replaced.

use std::borrow::Cow;

use actix_web::HttpRequest;
use percent_encoding::percent_decode;

use crate::{
    http::error::ApiError,
    model::error::{ParameterError, ParameterErrors},
};

/// A name and its value.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The pairs of a query string, in order.
pub(crate) fn decode(query: &str) -> Result<Vec<Pair<'_>>, ParameterErrors> {
    let (pairs, problems) = decode_valid(query);
    if problems.is_empty() { Ok(pairs) } else { Err(ParameterErrors(problems)) }
}

/// The valid pairs of a query string, in order, and what is wrong with the others.
pub(crate) fn decode_valid(query: &str) -> (Vec<Pair<'_>>, Vec<ParameterError>) {
    let (mut pairs, mut problems) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (text(name), text(value)) {
            (Some(name), Some(value)) => pairs.push((name, value)),
            (Some(name), None) => problems.push(ParameterError::new(name, "is not valid UTF-8")),
            (None, _) => problems.push(ParameterError::new("", "a parameter name is not valid UTF-8")),
        }
    }
    (pairs, problems)
}

fn text(encoded: &str) -> Option<Cow<'_, str>> {
    // A plus sign means a space. A literal plus sign is percent-encoded.
    if encoded.contains('+') {
        let spaced = encoded.replace('+', " ");
        return percent_decode(spaced.as_bytes()).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decode(encoded.as_bytes()).decode_utf8().ok()
}

/// The identifier at the end of a request's path, after `segments` other segments. It is taken from the raw path,
/// because the router would replace invalid UTF-8 and might then find another event. The other segments may be encoded
/// too, so they are counted, not compared.
pub(crate) fn identifier(request: &HttpRequest, segments: usize) -> Result<String, ApiError> {
    let encoded = request.uri().path().splitn(segments + 2, '/').last().unwrap_or_default();
    let decoded = percent_decode(encoded.as_bytes()).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| ApiError::invalid("identifier: is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_invalid_utf_8_is_rejected() {
        let decoded = decode("a=1&b%5B%5D=x+y%2Bz&&c&d=%C3%A9%").unwrap();
        let expected = [("a", "1"), ("b[]", "x y+z"), ("c", ""), ("d", "é%")];
        assert_eq!(decoded, expected.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
        let error = ParameterError::new("entity", "is not valid UTF-8");
        assert_eq!(decode("entity=%ff").unwrap_err(), error.clone().into());
        assert_eq!(decode_valid("a=1&entity=%ff"), (vec![("a".into(), "1".into())], vec![error]));
    }
}
