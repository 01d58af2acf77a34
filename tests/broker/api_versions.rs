//! ApiVersions, where every detail breaks some client when it is wrong. Checked against Kafka 4.3.1 byte for byte.

use millrace::kafka::dispatch::APIS;
use millrace::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use millrace::wire::{ErrorCode, Str};

use super::fixture::{Client, broker};

fn request(name: &'static str, version: &'static str) -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: Str::from_static(name),
        client_software_version: Str::from_static(version),
    }
}

#[tokio::test]
async fn every_version_names_what_the_dispatch_table_serves() {
    let broker = broker(&[]).await;
    for version in 0..=4 {
        let response: ApiVersionsResponse = broker.connect().await.ask(&request("raw", "1"), version).await;
        assert_eq!(response.error_code, ErrorCode::NONE);
        let listed: Vec<_> =
            response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        let expected: Vec<_> =
            APIS.iter().map(|api| (api.key.code(), api.advertised_from, api.last)).collect();
        assert_eq!(listed, expected);
        assert!(listed.contains(&(0, 0, 13)), "old librdkafka compresses only when Produce begins at 0");
        let finalized: Vec<_> = response.finalized_features.iter().map(|feature| feature.name).collect();
        if version >= 3 {
            assert_eq!(finalized, ["group.version", "metadata.version"]);
            assert!(response.finalized_features_epoch >= 0);
        } else {
            assert!(finalized.is_empty());
        }
        // KAFKA-17011: clients before version 4 fail on a feature whose minimum is 0.
        assert!(response.supported_features.iter().all(|feature| version >= 4 || feature.min_version > 0));
    }
}

#[tokio::test]
async fn an_unknown_version_is_answered_in_version_0_with_the_range_of_this_api() {
    let broker = broker(&[]).await;
    let expected = [0, 0, 0, 7, /* error */ 0, 35, /* one key */ 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
    for version in [5i16, 99, -1, i16::MAX] {
        for rest in [&b""[..], &[0, 1, b'x', 0, 0xff, 0xff, 0xff]] {
            let mut client = broker.connect().await;
            let mut frame = 18i16.to_be_bytes().to_vec();
            frame.extend_from_slice(&version.to_be_bytes());
            frame.extend_from_slice(&7i32.to_be_bytes());
            frame.extend_from_slice(rest);
            client.send_frame(&frame).await;
            assert_eq!(client.frame().await.as_ref(), expected);
            // The client asks again on the same connection.
            let response = client.ask(&request("raw", "1"), 3).await;
            assert_eq!(response.error_code, ErrorCode::NONE);
        }
    }
}

#[tokio::test]
async fn the_header_of_the_answer_is_version_0_even_where_the_body_is_flexible() {
    let broker = broker(&[]).await;
    let mut client = broker.connect().await;
    client.send(&request("raw", "1"), 3).await;
    let frame = client.frame().await;
    assert_eq!(frame[..6], [0, 0, 0, 1, 0, 0], "correlation id, then the error code at once");
}

#[tokio::test]
async fn a_client_that_introduces_itself_badly_is_told_so() {
    let broker = broker(&[]).await;
    for (name, version) in [("-x", "1"), ("x", ""), ("", ""), ("a b", "1")] {
        let mut client: Client = broker.connect().await;
        let correlation_id = client.send(&request(name, version), 3).await;
        let frame = client.frame().await;
        let mut expected = correlation_id.to_be_bytes().to_vec();
        // INVALID_REQUEST, no keys, no throttling, no tagged fields.
        expected.extend_from_slice(&[0, 42, 1, 0, 0, 0, 0, 0]);
        assert_eq!(frame.as_ref(), expected, "{name:?} {version:?}");
        // Before version 3 a client has no name to be wrong about.
        assert_eq!(client.ask(&request("", ""), 2).await.error_code, ErrorCode::NONE);
    }
}
