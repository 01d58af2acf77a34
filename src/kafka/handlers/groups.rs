//! What the handlers of groups share.

use std::sync::Arc;

use super::super::dispatch::Call;
use crate::engine::api::group::{Client, MemberName};
use crate::wire::Str;

/// The client behind a call, as it is shown with its membership.
pub(super) fn client(call: &Call) -> Client {
    let id = call.client_id.as_ref().map_or("", Str::as_str);
    Client { id: id.into(), host: format!("/{}", call.peer).into() }
}

/// A member as a request names it.
pub(super) fn member_name(member: &Str, instance: Option<&Str>) -> MemberName {
    MemberName {
        member: member.as_str().into(),
        instance: instance.map(|instance| Arc::from(instance.as_str())),
    }
}

/// Text of the engine's as the protocol carries it.
pub(super) fn text(text: &Arc<str>) -> Str {
    Str::from(&**text)
}
