//! The meaning of the statuses with which servers refuse the requests of a push.

use super::super::HubError;
use super::super::address::shown;
use super::super::client::{Client, Failure, requested_wait};
use ureq::http::Response;

/// Longest message of a server that is passed on, in characters.
const MESSAGE_LENGTH: usize = 400;

/// Returns the failure of a request with a status of 300 and above.
pub(super) fn refusal(client: &Client<'_>, url: &str, response: &Response<Vec<u8>>) -> Failure {
    let status = response.status().as_u16();
    let said = message(client, response);
    let after = |text: &str| if text.is_empty() { String::new() } else { format!(": {text}") };
    let (id, endpoint, url_shown) = (client.id.to_owned(), client.options.endpoint.clone(), shown(url));
    let code = response.headers().get("x-error-code").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let on_storage = !client.is_endpoint(url);
    match status {
        408 | 409 | 412 | 429 | 500..=599 => {
            let wait = requested_wait(response.headers());
            Failure { wait, ..Failure::transient(HubError::Server { url: url_shown, status, message: after(&said) }) }
        }
        413 => HubError::TooLarge { url: url_shown, message: after(&said) }.into(),
        // A storage server takes no token: the address that it was given has expired.
        _ if on_storage => Failure::transient(HubError::Server { url: url_shown, status, message: after(&said) }),
        401 => {
            let given = if said.is_empty() { String::new() } else { format!(" ({said})") };
            HubError::PushToken { endpoint, message: given }.into()
        }
        404 if code == "RevisionNotFound" => {
            HubError::NoRevision { id, revision: client.revision.into(), endpoint }.into()
        }
        // The hub hides models that a token may not read.
        402..=404 => HubError::PushRight { id, endpoint, status, message: after(&said) }.into(),
        _ => HubError::Rejected { url: url_shown, status, message: after(&said) }.into(),
    }
}

/// Returns the message of a refusal on one line, without the token.
pub(super) fn message(client: &Client<'_>, response: &Response<Vec<u8>>) -> String {
    let header = response.headers().get("x-error-message").and_then(|value| value.to_str().ok());
    let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let errors = json["errors"].as_array().into_iter().flatten().filter_map(|error| error["message"].as_str());
    let listed: Vec<&str> = errors.collect();
    let said = match (json["error"].as_str(), header) {
        (Some(error), _) | (None, Some(error)) if listed.is_empty() => error.to_owned(),
        _ => listed.join("; "),
    };
    let said = client.options.token.as_ref().map_or(said.clone(), |token| token.removed_from(&said));
    let plain: String = said.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    plain.chars().take(MESSAGE_LENGTH).collect()
}
