//! `docs/PROTOCOL.md`, written from the dispatch table.

use std::fmt::Write;

use super::dispatch::{APIS, Api};

const INTRODUCTION: &str = "\
# Protocol

Millrace speaks the Apache Kafka protocol over plain TCP. This page is written from the dispatch table in the source
(`UPDATE_DOCS=1 cargo test --lib document` writes it anew); a test holds it true.

## APIs

What ApiVersions answers is exactly this table. A request for anything else closes the connection, as in Kafka.

| key | API | versions | flexible from | beside others of its connection |
|---|---|---|---|---|
";

const RULES: &str = "
\"Alone\" starts when everything before it on its connection is answered. \"Parks\" is the same, may wait for data, and
is given up when the broker stops. \"Pipelined\" starts while others of its kind wait for their commit.

## What differs from Kafka, and what is decided here

- **Produce** is advertised from version 0 because clients on librdkafka up to 2.8 do not compress otherwise. Versions
  0 to 2 close the connection, as in Kafka.
- **ApiVersions** in an unknown version is answered with error 35 in the shape of version 0, naming the versions of
  ApiVersions only. Its response header is always version 0. A client name or version that KIP-511 does not allow is
  answered with INVALID_REQUEST.
- **Features**: only `metadata.version` is named, supported 7 to 30 and final at 30. Features of groups, transactions
  and share groups are not, since their APIs are not served.
- **Fetch sessions** are not kept: the session id of an answer is always 0, which tells the client to send full
  requests. A request that goes on with a session gets FETCH_SESSION_ID_NOT_FOUND.
- **Metadata** makes topics that do not exist before it answers (`auto.create.topics.enable`), so that the first answer
  has their partitions; Kafka answers LEADER_NOT_AVAILABLE first.
- **Requests other than Produce** are at most 1 MiB.
- **DescribeConfigs** refuses a resource that the request names a second time.
- **Connections** are plain text and anonymous; authentication and TLS come later.

## Connections

A frame is a 32-bit size and as many bytes. A size below 1 or above `socket.request.max.bytes` closes the connection,
and so do bytes that are no request: the protocol has no other word for it. Answers come in the order of requests.
A request with `acks=0` has no answer; if it fails, the connection is closed. `docs/CONFIG.md` has the limits.
";

/// `docs/PROTOCOL.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for api in APIS {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:?} |",
            api.key.code(),
            api.key.name(),
            versions(api),
            api.flexible_from,
            api.turn
        );
    }
    text.push_str(RULES);
    text
}

fn versions(api: &Api) -> String {
    if api.advertised_from == api.served_from {
        format!("{} to {}", api.served_from, api.last)
    } else {
        format!("{} to {} (advertised from {})", api.served_from, api.last, api.advertised_from)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn protocol_md_says_what_the_dispatch_table_says() {
        crate::testing::golden::holds("docs/PROTOCOL.md", &super::markdown());
    }
}
