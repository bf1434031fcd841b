//! The assets of the pages: one style sheet, one script and one icon, all embedded in the program. Each name contains a
//! hash of the content, so browsers may cache it forever and never combine a page with another version's script.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};

use crate::http::{ApiError, error::NOT_FOUND};

/// The route of all assets.
pub(super) const ROUTE: &str = "/assets/{name}";
/// One year. Browsers treat it as forever.
const KEPT: &str = "public, max-age=31536000, immutable";

/// A file that pages refer to.
#[derive(Debug)]
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    media_type: &'static str,
    content: &'static str,
    hash: u64,
}

pub(super) const STYLE: Asset = Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css"));
pub(super) const SCRIPT: Asset =
    Asset::new("script", "js", "text/javascript; charset=utf-8", include_str!("assets/script.js"));
pub(super) const ICON: Asset = Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg"));

impl Asset {
    const fn new(stem: &'static str, extension: &'static str, media_type: &'static str, content: &'static str) -> Self {
        Self { stem, extension, media_type, content, hash: fnv_1a(content.as_bytes()) }
    }

    /// The URL.
    pub(super) fn href(&self) -> String {
        format!("/assets/{}", self.name())
    }

    fn name(&self) -> String {
        format!("{}-{:016x}.{}", self.stem, self.hash, self.extension)
    }
}

/// Serves an asset. Assets hold no data, and the sign-in page needs them, so they need no credential.
pub(super) async fn asset(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let name = request.match_info().query("name");
    let asset = [STYLE, SCRIPT, ICON].into_iter().find(|asset| asset.name() == name);
    let asset = asset.ok_or_else(|| ApiError::new(NOT_FOUND, format!("there is nothing at {}", request.path())))?;
    Ok(HttpResponse::Ok()
        .content_type(asset.media_type)
        .insert_header((CACHE_CONTROL, KEPT))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(asset.content))
}

/// A hash that identifies a version. A collision has no effect on security.
const fn fnv_1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
