//! What is called and what is not, without a network.

use super::*;

fn rules(listed: &[&str], named: &[&str]) -> Rules {
    let listed = listed
        .iter()
        .map(|rule| rule.parse().expect("a rule"))
        .collect();
    let named = named
        .iter()
        .map(|url| Place::of(&url.parse().expect("a url")).expect("an http url"))
        .collect();
    Rules { listed, named }
}

/// Whether a URL may be called where its host leads to `address` (its own, if it is one).
fn allows(rules: &Rules, url: &str, address: &str) -> bool {
    let place = Place::of(&url.parse().expect("a url")).expect("an http url");
    let address = place
        .address
        .unwrap_or_else(|| address.parse().expect("an address"));
    rules.check_host(&place).is_ok() && rules.check_address(&place, address).is_ok()
}

#[test]
fn a_named_host_is_called_at_public_addresses_only() {
    let rules = rules(&[], &["https://api.example.com/v1"]);
    assert!(allows(&rules, "https://api.example.com/v2", "1.1.1.1"));
    assert!(allows(&rules, "https://API.example.com./x", "1.1.1.1"));
    for address in [
        "10.0.0.5",
        "127.0.0.1",
        "169.254.169.254",
        "::ffff:10.0.0.5",
        "0.0.0.0",
        "fd00::1",
    ] {
        assert!(
            !allows(&rules, "https://api.example.com/", address),
            "{address}"
        );
    }
    for url in [
        "https://api.example.com:8443/",
        "https://example.com/",
        "https://x.api.example.com/",
    ] {
        assert!(!allows(&rules, url, "1.1.1.1"), "{url}");
    }
}

#[test]
fn an_address_counts_as_listed_where_the_operator_wrote_it() {
    let rules = rules(
        &[],
        &[
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "http://localhost:9000",
            "http://10.0.0.5",
            "http://169.254.169.254",
        ],
    );
    assert!(allows(&rules, "http://127.0.0.1:9000/x", ""));
    assert!(
        allows(&rules, "http://2130706433:9000/x", ""),
        "the same address"
    );
    assert!(allows(&rules, "http://[::1]:9000/x", ""));
    assert!(allows(&rules, "http://localhost:9000/x", "127.0.0.1"));
    assert!(allows(&rules, "http://localhost:9000/x", "::1"));
    assert!(!allows(&rules, "http://localhost:9000/x", "10.0.0.5"));
    assert!(allows(&rules, "http://10.0.0.5/x", ""));
    assert!(!allows(&rules, "http://10.0.0.5:81/x", ""), "another port");
    assert!(
        !allows(&rules, "http://[::ffff:127.0.0.1]:9000/", ""),
        "not what was written"
    );
    assert!(
        !allows(&rules, "http://169.254.169.254/latest", ""),
        "has to be listed"
    );
}

#[test]
fn listed_hosts_and_networks_are_called_wherever_they_are() {
    let rules = rules(
        &[
            "orders:8080",
            "*.corp.example",
            "10.1.0.0/16",
            "[fd00::1]:80",
            "169.254.169.254",
        ],
        &["http://named.example"],
    );
    assert!(allows(&rules, "http://orders:8080/", "172.18.0.3"));
    assert!(!allows(&rules, "http://orders:8081/", "172.18.0.3"));
    assert!(allows(&rules, "https://a.b.corp.example/", "192.168.0.1"));
    assert!(!allows(&rules, "https://corp.example/", "1.1.1.1"));
    assert!(!allows(&rules, "https://evilcorp.example/", "1.1.1.1"));
    assert!(allows(&rules, "http://10.1.2.3:5000/", ""));
    assert!(
        allows(&rules, "http://[::ffff:10.1.2.3]:5000/", ""),
        "the same network"
    );
    assert!(!allows(&rules, "http://10.2.2.3:5000/", ""));
    assert!(
        allows(&rules, "http://named.example/", "10.1.9.9"),
        "the network is listed"
    );
    assert!(!allows(&rules, "http://named.example/", "10.2.9.9"));
    assert!(allows(&rules, "http://[fd00::1]/", ""));
    assert!(!allows(&rules, "http://[fd00::1]:81/", ""));
    assert!(allows(&rules, "http://169.254.169.254/latest", ""));
}

#[test]
fn the_star_allows_names_but_no_private_addresses() {
    let rules = rules(&["*"], &[]);
    assert!(allows(&rules, "https://anything.example/", "1.1.1.1"));
    for url in [
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://0/",
        "http://[::]/",
        "http://10.0.0.1/",
    ] {
        assert!(!allows(&rules, url, ""), "{url}");
    }
    assert!(!allows(&rules, "https://rebound.example/", "192.168.0.1"));
}

#[test]
fn rules_are_read_or_refused() {
    for text in [
        "a",
        "a:1",
        "a.b-c.d_e",
        "*.a",
        "*",
        "*:443",
        "1.2.3.4",
        "1.2.3.4:5",
        "10.0.0.0/8",
        "10.0.0.0/8:443",
        "::1",
        "[::1]",
        "[::1]:2",
        "fd00::/8",
        "localhost",
    ] {
        assert!(text.parse::<Rule>().is_ok(), "{text}");
    }
    for text in [
        "",
        "a b",
        "http://a",
        "a/b",
        "a:0",
        "a:x",
        "a:70000",
        "*a",
        "a.*",
        "1.2.3",
        "1.2.3.4/33",
        "::1/129",
        "[::1",
        "[::1]2",
        "..",
        "a..b",
    ] {
        assert!(text.parse::<Rule>().is_err(), "{text}");
    }
}

#[test]
fn refusals_name_the_setting() {
    let rules = rules(&[], &["http://orders:8080"]);
    let place = |url: &str| Place::of(&url.parse().expect("a url")).expect("an http url");
    let refused = |result: Result<(), EgressError>| result.expect_err("refused").to_string();
    assert_eq!(
        refused(rules.check_address(
            &place("http://orders:8080/"),
            "10.0.0.5".parse().expect("an address")
        )),
        "orders leads to 10.0.0.5, a private address, which is not called unless it is listed; if it should be, add \"orders:8080\" or \"10.0.0.5\" to allow in [egress]"
    );
    assert_eq!(
        refused(rules.check_host(&place("http://other/"))),
        "other:80 is not an allowed host; if it should be, add \"other:80\" to allow in [egress]"
    );
    assert!(matches!(
        Place::of(&"ftp://a/".parse().expect("a url")),
        Err(EgressError::NotHttp { .. })
    ));
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let refused = rules(&[], &["http://localhost.localdomain:1"]);
    match refused.resolve("localhost", 1).await {
        Err(EgressError::NotPublic { kind, .. }) => assert_eq!(kind, Kind::Loopback.words()),
        other => panic!("{other:?}"),
    }
    let listed = rules(&["localhost:1"], &[]);
    let found = listed
        .resolve("LOCALHOST.", 1)
        .await
        .or(listed.resolve("localhost", 1).await);
    assert!(found.is_ok_and(|found| found.iter().all(|address| address.ip().is_loopback())));
    match refused.resolve("no-such-host.invalid", 1).await {
        Err(EgressError::Unresolved { host, .. }) => assert_eq!(host, "no-such-host.invalid"),
        other => panic!("{other:?}"),
    }
}
