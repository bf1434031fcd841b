//! `POST /v1/audit-log`: takes events, or records of another system.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};

use crate::{
    http::{ApiError, Context, TOKEN_PARAMETER, caller::Ingest, parameters},
    ingest::{self, Format, Identification, Reading},
    model::error::ParameterError,
    store::Policy,
};

/// How records arrive here, as their events record it.
const DOOR: &str = "api";

/// Stores events, and responds when they are on disk.
pub(super) async fn events(
    caller: Ingest,
    request: HttpRequest,
    context: Data<Context>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Parameters { policy, format } = Parameters::parse(request.query_string(), &context)?;
    let key = ingest::parse_key(request.headers(), &caller.0)?;
    let body = match policy {
        Policy::AllOrNothing => context.body_limits.read(request.headers(), payload).await?,
        Policy::Partial => context.body_limits.read_beginning(request.headers(), payload).await?,
    };
    // After the body has arrived: a client that is still sending may see its connection reset instead of the response.
    // Before it is parsed: a request that will be rejected should cost nothing more.
    context.writer.check_room()?;
    let reading = Reading::new(&context, &caller.0, policy, key);
    let Some(format) = format else {
        return ingest::events(reading, body, &context, &caller.0, &request).await;
    };
    let stored = ingest::records(format, reading, body, &context).await?;
    stored.respond(&context, &request, &context.reading(&caller.0, &request)).await
}

/// The parameters of a request.
struct Parameters {
    policy: Policy,
    /// How the records of another system become events.
    format: Option<Format>,
}

impl Parameters {
    fn parse(query: &str, context: &Context) -> Result<Self, ApiError> {
        let (mut partial, mut mapping, mut source, mut first) = (None, None, None, None);
        let invalid = |name: &str, message: &str| ApiError::from(ParameterError::new(name, message));
        for (name, value) in parameters::decode(query)? {
            match (name.as_ref(), value.as_ref()) {
                ("partial", "true") => partial = Some(true),
                ("partial", "false") => partial = Some(false),
                ("partial", _) => return Err(invalid("partial", "must be true or false")),
                ("format", name) => {
                    mapping = Some(context.presets.get(name).map_err(|error| invalid("format", &error))?);
                }
                ("source", "") => return Err(invalid("source", "must not be empty")),
                ("source", name) => source = Some(name.to_owned()),
                ("first", number) => {
                    first = Some(number.parse().map_err(|_| invalid("first", "must be a whole number"))?);
                }
                // The caller has presented it.
                (TOKEN_PARAMETER, _) => {}
                (other, _) => return Err(ParameterError::unknown(other).into()),
            }
        }
        let policy = if partial == Some(true) { Policy::Partial } else { Policy::AllOrNothing };
        let Some(mapping) = mapping else {
            return match (source, first) {
                (None, None) => Ok(Self { policy, format: None }),
                (Some(_), _) => Err(invalid("source", "needs format")),
                (None, Some(_)) => Err(invalid("first", "needs format and source")),
            };
        };
        if partial == Some(false) {
            return Err(invalid("partial", "must be true or absent with format: each record is stored by itself"));
        }
        if source.is_none() && first.is_some() {
            return Err(invalid("first", "needs source"));
        }
        let identification = source.map_or(Identification::Delivery { is_strict: true }, |name| {
            Identification::Source { name, first: first.unwrap_or(1) }
        });
        let read = ingest::documents(context.batch_events_max);
        let format = Format { mapping, identification, door: DOOR, counted_as: None, read };
        Ok(Self { policy: Policy::Partial, format: Some(format) })
    }
}
