//! `/audit-logs`: the log, filtered.
//!
//! The response begins with the rows. The chart and the filter menus follow in the same response, as soon as the events
//! are counted. If counting fails, the rows are still shown.

mod chart;
mod chips;
mod fields;
mod load;
mod rows;
mod view;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use askama::Template;

pub(in crate::ui) use rows::EventRow;

use crate::{
    http::{
        ApiError, Context,
        caller::{Caller, Read},
        parameters,
        reading::ReadAccess,
    },
    model::{limits::QueryLimits, list_params::ListParams},
    ui::{
        labels::Labels,
        page::{self, Shell},
        params, stream,
    },
};

const SECTION: &str = "log";

/// Shows the matching events.
pub(super) async fn list(
    allowed: Result<Read, ApiError>,
    request: HttpRequest,
    context: Data<Context>,
) -> HttpResponse {
    let answer = async { show(&allowed?.0, &request, &context).await };
    page::or_error(answer.await, &request, SECTION)
}

async fn show(caller: &Caller, request: &HttpRequest, context: &Data<Context>) -> Result<HttpResponse, ApiError> {
    let (limits, labels) = (context.query_limits, Labels::of_context(context));
    let params = read(request, &limits);
    if !params.tidy && params.problems.is_empty() {
        return Ok(page::redirect(&params.href()));
    }
    let reading = context.reading(caller, request);
    let (list, names) = (params.clone(), labels.clone());
    let (found, live, actors) = reading.begin(move |lease| load::load(lease, &list, &names, &limits)).await?;
    let status = if found.is_bad() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let shell = Shell::new(request, SECTION, "Audit log");
    let top = view::top(shell, request, &params, (found, live), (&labels, &actors), context);
    let top = top.render().map_err(ApiError::internal)?;
    let rest = rest(reading, limits, params, labels);
    Ok(stream::two_parts(request, page::response(status), top, rest))
}

/// The parameters of the request. Invalid UTF-8 is a problem like others.
fn read(request: &HttpRequest, limits: &QueryLimits) -> ListParams {
    let (pairs, mut problems) = parameters::decode_valid(request.query_string());
    let mut params = params::parse(pairs, limits);
    problems.append(&mut params.problems);
    ListParams { problems, limit: Some(load::PAGE_EVENTS), count: Some(true), ..params }
}

/// The chart and the menus, once they have been counted.
async fn rest(reading: ReadAccess, limits: QueryLimits, params: ListParams, labels: Labels) -> String {
    let list = params.clone();
    let counted = match reading.go_on(move |lease| load::count(lease, &list, &limits)).await {
        Ok(counted) => Ok(counted),
        Err(error) => {
            if let Some(cause) = error.cause() {
                tracing::error!(cause, "events could not be counted");
            }
            Err(error.message().to_owned())
        }
    };
    // The first part of the page is already sent, so an error here only leaves out the second.
    view::bottom(&params, counted, &labels).render().unwrap_or_default()
}
